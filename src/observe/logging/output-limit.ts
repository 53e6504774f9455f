// How much of one worker's output reaches the log: a flood from a hostile or looping handler must not fill the disk.
import type { Clock } from '../../kernel/index.ts';

/** A chatty handler at debug level stays below; a print loop does not. */
const LINES_PER_SECOND = 1000;
const CHARS_PER_SECOND = 512 * 1024;
/** Start-up of a large model prints pages at once. */
const BURST_SECONDS = 8;

export class OutputLimit {
  readonly #clock: Clock;
  #lines = LINES_PER_SECOND * BURST_SECONDS;
  #chars = CHARS_PER_SECOND * BURST_SECONDS;
  #refilledAt: number;
  #dropped = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#refilledAt = clock.now();
  }

  /** Takes the allowance for one line. False: the line is dropped and counted. */
  allows(line: string): boolean {
    this.#refill();
    if (this.#lines < 1 || this.#chars < line.length) {
      this.#dropped++;
      return false;
    }
    this.#lines--;
    this.#chars -= line.length;
    return true;
  }

  /** Lines dropped since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  #refill(): void {
    const now = this.#clock.now();
    const seconds = (now - this.#refilledAt) / 1000;
    this.#refilledAt = now;
    this.#lines = Math.min(LINES_PER_SECOND * BURST_SECONDS, this.#lines + seconds * LINES_PER_SECOND);
    this.#chars = Math.min(CHARS_PER_SECOND * BURST_SECONDS, this.#chars + seconds * CHARS_PER_SECOND);
  }
}

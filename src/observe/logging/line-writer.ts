// A bounded queue of lines in front of something slow: writing never waits, memory never grows, losses are counted and told.
import type { Clock, Timer } from '../../kernel/index.ts';

/** Where bytes go: a rolling file, or a descriptor. One call at a time. */
export interface LineTarget {
  write(bytes: Buffer): Promise<void>;
  /** For the last words of a crashing process. */
  writeSync(bytes: Buffer): void;
  close(): Promise<void>;
}

/** Lines in memory for one target; a disk that stalls for seconds at full load loses nothing. */
const MAX_PENDING_CHARS = 8 * 1024 * 1024;
/** Writes at once when this much is waiting, else after the delay: few system calls, and `tail -f` still feels live. */
const EAGER_CHARS = 64 * 1024;
const DELAY_MS = 50;

export class LineWriter {
  readonly #target: LineTarget;
  readonly #clock: Clock;
  readonly #reportLoss: (lines: number) => string;
  #pending: string[] = [];
  #pendingChars = 0;
  #lost = 0;
  #lostInTotal = 0;
  #timer: Timer | undefined;
  #draining: Promise<void> | undefined;

  /** `reportLoss` words the line that stands for lines that were dropped. */
  constructor(target: LineTarget, clock: Clock, reportLoss: (lines: number) => string) {
    this.#target = target;
    this.#clock = clock;
    this.#reportLoss = reportLoss;
  }

  get droppedLines(): number {
    return this.#lostInTotal;
  }

  write(line: string): void {
    if (this.#pendingChars + line.length > MAX_PENDING_CHARS) return this.#lose(1);
    this.#pending.push(line);
    this.#pendingChars += line.length;
    if (this.#draining !== undefined) return;
    if (this.#pendingChars >= EAGER_CHARS) this.#startDraining();
    else this.#timer ??= this.#clock.after(DELAY_MS, () => this.#startDraining());
  }

  /** Resolves when every line written before this call has reached the target, or is known to be lost. */
  async flush(): Promise<void> {
    this.#startDraining();
    await this.#draining;
  }

  flushSync(): void {
    try {
      this.#target.writeSync(this.#take());
    } catch {
      // The process is going down and the disk is gone too: there is nobody left to tell.
    }
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#target.close();
  }

  #startDraining(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined;
    });
  }

  async #drain(): Promise<void> {
    while (this.#pending.length > 0 || this.#lost > 0) {
      const lost = this.#lost;
      const lines = this.#pending.length;
      try {
        await this.#target.write(this.#take());
      } catch {
        // A full disk or a closed pipe: the server goes on, the loss is told with the next line that gets through.
        this.#lose(lines);
        this.#lost += lost;
        return;
      }
    }
  }

  #take(): Buffer {
    if (this.#lost > 0) this.#pending.push(this.#reportLoss(this.#lost));
    this.#lost = 0;
    const bytes = Buffer.from(this.#pending.join(''), 'utf8');
    this.#pending = [];
    this.#pendingChars = 0;
    return bytes;
  }

  #lose(lines: number): void {
    this.#lost += lines;
    this.#lostInTotal += lines;
  }
}

// How much text one worker may print: above its rate it is dropped and counted, far above it is not even read.
import type { Clock } from '../kernel/index.ts';

const WINDOW_MS = 1000;
/** Reading and dropping costs the server time: up to this multiple of the rate, then the worker waits for its pipe. */
const FLOOD_FACTOR = 4;

export interface Throttled {
  pause(): void;
  resume(): void;
}

/** Shared by the streams of one worker. */
export class OutputBudget {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  readonly #onDropped: (bytes: number) => void;
  readonly #streams: Throttled[] = [];
  #windowStart: number;
  #used = 0;
  #dropped = 0;
  #isPaused = false;

  constructor(clock: Clock, bytesPerSecond: number, onDropped: (bytes: number) => void) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#onDropped = onDropped;
    this.#windowStart = clock.now();
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** Adds a stream that is not read while the worker floods. */
  govern(stream: Throttled): void {
    this.#streams.push(stream);
  }

  /** True: these bytes may be logged. False: they are to be dropped, and are counted here. */
  take(bytes: number): boolean {
    if (this.#clock.now() - this.#windowStart >= WINDOW_MS) this.#beginWindow();
    if (this.#used + bytes <= this.#bytesPerSecond) {
      this.#used += bytes;
      return true;
    }
    this.#dropped += bytes;
    if (this.#dropped > this.#bytesPerSecond * FLOOD_FACTOR) this.#pause();
    return false;
  }

  /** Reports what the last window lost. */
  settle(): void {
    if (this.#dropped > 0) this.#onDropped(this.#dropped);
    this.#dropped = 0;
  }

  #beginWindow(): void {
    this.settle();
    this.#windowStart = this.#clock.now();
    this.#used = 0;
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    for (const stream of this.#streams) stream.pause();
    this.#clock.after(Math.max(1, this.#windowStart + WINDOW_MS - this.#clock.now()), () => {
      this.#isPaused = false;
      this.#beginWindow();
      for (const stream of this.#streams) stream.resume();
    });
  }
}

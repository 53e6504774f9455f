// A clock that moves only when a test moves it.
import type { Clock, Timer } from '../../src/kernel/index.ts';

export class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  wallTime(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { at: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return { cancel: () => (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  /** Moves time on, calling every timer that falls due, in order. */
  advance(ms: number): void {
    const until = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#nowMs = Math.max(this.#nowMs, due.at);
      due.callback();
    }
    this.#nowMs = until;
  }
}

/** A clock that shows this time, in milliseconds since the epoch, before anybody waits for anything. */
export function clockAt(epochMs: number): ManualClock {
  const clock = new ManualClock();
  clock.advance(epochMs);
  return clock;
}

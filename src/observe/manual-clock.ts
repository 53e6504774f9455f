// A clock that moves when told to, for the tests of this room.
import type { Clock } from '../kernel/index.ts';

export interface ManualClock extends Clock {
  advance(milliseconds: number): void;
}

export function manualClock(startMs: number): ManualClock {
  let time = startMs;
  let timers: { at: number; callback: () => void }[] = [];
  return {
    now: () => time,
    wallTime: () => time,
    after(delayMs, callback) {
      const timer = { at: time + delayMs, callback };
      timers.push(timer);
      return { cancel: () => void (timers = timers.filter((other) => other !== timer)) };
    },
    advance(milliseconds) {
      time += milliseconds;
      const due = timers.filter((timer) => timer.at <= time);
      timers = timers.filter((timer) => timer.at > time);
      for (const timer of due) timer.callback();
    },
  };
}

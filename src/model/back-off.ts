// How long a dead worker waits before it is started again (surface spec 10.4).

const BACK_OFF_SECONDS = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597] as const;

/** Seconds to wait before restart number `attempt`, counted from 0; the last value repeats. */
export function backOffSeconds(attempt: number): number {
  return BACK_OFF_SECONDS[Math.min(attempt, BACK_OFF_SECONDS.length - 1)]!;
}

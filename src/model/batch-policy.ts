// When a batch closes (design.md section 4). Pure: the lane asks, this answers.

export interface BatchQuestion {
  readonly batchSize: number;
  readonly maxBatchDelayMs: number;
  /** Waiting jobs that may travel together with the oldest one. */
  readonly waiting: number;
  readonly oldestWaitedMs: number;
  readonly newestWaitedMs: number;
  /** Requests of this model that are with a worker now: evidence of clients who may send more. */
  readonly inFlight: number;
  /** Requests have lately overlapped or come in bursts. A lonely client's have not. */
  readonly hasCompany: boolean;
}

/** Requests that were sent together arrive within about this share of the delay that the operator allows for batching. */
const LINGER_SHARE = 0.02;
const MIN_LINGER_MS = 1;
const MAX_LINGER_MS = 50;

/** Milliseconds until the batch should close; 0 means now. */
export function batchClosesInMs(question: BatchQuestion): number {
  const { batchSize, maxBatchDelayMs, waiting, oldestWaitedMs, newestWaitedMs, inFlight, hasCompany } = question;
  if (waiting >= batchSize || maxBatchDelayMs <= 0) return 0;
  if (waiting === 1 && inFlight === 0 && !hasCompany) return 0;
  const untilDelayIsOver = maxBatchDelayMs - oldestWaitedMs;
  if (inFlight > 0) return Math.max(0, untilDelayIsOver);
  // Every client there is waits for us already. Only a burst still arriving is worth a moment; TorchServe waits the whole delay.
  const linger = Math.min(Math.max(maxBatchDelayMs * LINGER_SHARE, MIN_LINGER_MS), MAX_LINGER_MS);
  return Math.max(0, Math.min(untilDelayIsOver, linger - newestWaitedMs));
}

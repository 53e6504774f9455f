// What a lane asks of its queue, whatever its order: one line for all, or one line per sequence.
import type { Job } from './job.ts';

export interface WaitingJobs {
  /** Jobs that wait and have not ended. */
  readonly length: number;
  readonly remainingCapacity: number;
  readonly newest: Job | undefined;
  /** False when the job does not fit; it is then not queued. */
  offer(job: Job): boolean;
  /** Puts accepted jobs back in front, in order. */
  putBack(jobs: readonly Job[]): void;
  /** A waiting job has ended by itself (cancelled, expired): its room is free at once. */
  forget(job: Job): void;
  /** The job that the worker would be given next. */
  peek(workerId: string): Job | undefined;
  /** Takes up to `limit` jobs for the worker that may travel together. */
  take(limit: number, workerId: string): Job[];
  /** The worker is gone for good or for now. Returns jobs that no other worker can serve. */
  workerLost(workerId: string): Job[];
  /** The handler closed these sequences (surface spec 2.8). */
  endSequences(ids: readonly string[]): void;
  /** Removes and returns everything that waits. */
  drain(): Job[];
}

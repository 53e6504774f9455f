// The waiting jobs of one lane: first in, first out, bounded by count and by bytes. Ended jobs are skipped, not searched for.
import type { Job } from './job.ts';
import type { WaitingJobs } from './waiting-jobs.ts';

export interface QueueBounds {
  readonly maxJobs: number;
  readonly maxBytes: number;
}

/** Ended jobs that may stand between waiting ones before they are swept out. */
const MAX_ENDED = 64;

export class JobQueue implements WaitingJobs {
  readonly #bounds: QueueBounds;
  /** From `#head` on, the jobs in order; before it, slots that were cleared, so that finished jobs can be collected. */
  #jobs: (Job | undefined)[] = [];
  #head = 0;
  #count = 0;
  #bytes = 0;

  constructor(bounds: QueueBounds) {
    this.#bounds = bounds;
  }

  /** Jobs that are waiting and have not ended. */
  get length(): number {
    return this.#count;
  }

  /** Of the bodies of all that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  get remainingCapacity(): number {
    return Math.max(0, this.#bounds.maxJobs - this.#count);
  }

  /** False when the job does not fit; it is then not queued. A single job larger than the byte bound may still be alone. */
  offer(job: Job): boolean {
    if (this.#count >= this.#bounds.maxJobs) return false;
    if (this.#count > 0 && this.#bytes + job.bytes > this.#bounds.maxBytes) return false;
    this.#jobs.push(job);
    this.#added(job);
    return true;
  }

  /** Puts jobs back in front, in order: they were accepted once and are not refused now. */
  putBack(jobs: readonly Job[]): void {
    const alive = jobs.filter((job) => !job.hasEnded);
    this.#jobs = [...alive, ...this.#jobs.slice(this.#head)];
    this.#head = 0;
    for (const job of alive) this.#added(job);
  }

  /** Called when a waiting job has ended by itself (cancelled, expired), so that its room is free at once. */
  forget(job: Job): void {
    job.isQueued = false;
    this.#count -= 1;
    this.#bytes -= job.bytes;
    this.#sweep();
  }

  peek(): Job | undefined {
    while (this.#jobs[this.#head]?.hasEnded) this.#shift();
    this.#compact();
    return this.#jobs[this.#head];
  }

  /** The newest waiting job. */
  get newest(): Job | undefined {
    return this.#jobs.at(-1);
  }

  /** Takes up to `limit` jobs that may travel together: one operation, and a job that must be alone, alone. */
  take(limit: number): Job[] {
    const first = this.peek();
    if (first === undefined || limit <= 0) return [];
    const batch: Job[] = [];
    for (let job: Job | undefined = first; job !== undefined && batch.length < limit; job = this.peek()) {
      if (batch.length > 0 && (job.isAlone || job.request.operation !== first.request.operation)) break;
      this.#shift();
      this.forget(job);
      batch.push(job);
      if (job.isAlone) break;
    }
    return batch;
  }

  /** Any worker can serve any of these. */
  workerLost(): Job[] {
    return [];
  }

  endSequences(): void {}

  /** Removes and returns everything that still waits. */
  drain(): Job[] {
    const waiting = this.#jobs.filter((job) => job !== undefined && !job.hasEnded) as Job[];
    this.#jobs = [];
    this.#head = 0;
    this.#count = 0;
    this.#bytes = 0;
    return waiting;
  }

  #added(job: Job): void {
    job.isQueued = true;
    this.#count += 1;
    this.#bytes += job.bytes;
  }

  /** Nobody looks while every worker is busy: clients that come and go must not leave their requests behind. */
  #sweep(): void {
    if (this.#jobs.length - this.#head <= 2 * this.#count + MAX_ENDED) return;
    this.#jobs = this.#jobs.filter((job) => job?.isQueued === true);
    this.#head = 0;
  }

  #shift(): void {
    this.#jobs[this.#head] = undefined;
    this.#head += 1;
  }

  #compact(): void {
    if (this.#head === this.#jobs.length) {
      this.#jobs = [];
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#jobs.length) {
      this.#jobs = this.#jobs.slice(this.#head);
      this.#head = 0;
    }
  }
}

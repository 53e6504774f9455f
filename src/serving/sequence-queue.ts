// The waiting jobs of a stateful model: one line per sequence, each sequence bound to the worker that holds its state
// (surface spec 10.8). At most one job of a sequence travels in a batch, so that they run in order.
import type { Clock } from '../kernel/index.ts';
import type { Job } from './job.ts';
import { JobQueue, type QueueBounds } from './job-queue.ts';
import type { SequenceSpec } from './shard-protocol.ts';
import type { WaitingJobs } from './waiting-jobs.ts';

interface Sequence {
  readonly id: string;
  readonly jobs: JobQueue;
  readonly createdAtMs: number;
  lastUsedAtMs: number;
  workerId: string | undefined;
}

export class SequenceQueue implements WaitingJobs {
  readonly #spec: SequenceSpec;
  readonly #bounds: QueueBounds;
  readonly #clock: Clock;
  readonly #sequences = new Map<string, Sequence>();
  #newest: Job | undefined;

  constructor(spec: SequenceSpec, bounds: QueueBounds, clock: Clock) {
    this.#spec = spec;
    this.#bounds = bounds;
    this.#clock = clock;
  }

  get length(): number {
    let waiting = 0;
    for (const { jobs } of this.#sequences.values()) waiting += jobs.length;
    return waiting;
  }

  get #bytes(): number {
    let waiting = 0;
    for (const { jobs } of this.#sequences.values()) waiting += jobs.bytes;
    return waiting;
  }

  get remainingCapacity(): number {
    return Math.max(0, this.#bounds.maxJobs - this.length);
  }

  get newest(): Job | undefined {
    return this.#newest;
  }

  offer(job: Job): boolean {
    if (this.remainingCapacity === 0) return false;
    // All sequences together may hold no more than one queue may.
    const bytes = this.#bytes;
    if (bytes > 0 && bytes + job.bytes > this.#bounds.maxBytes) return false;
    const sequence = this.#sequenceOf(job.request.sequenceId ?? '');
    if (sequence === undefined || !sequence.jobs.offer(job)) return false;
    sequence.lastUsedAtMs = this.#clock.now();
    this.#newest = job;
    return true;
  }

  putBack(jobs: readonly Job[]): void {
    for (const job of jobs.toReversed()) this.#sequences.get(job.request.sequenceId ?? '')?.jobs.putBack([job]);
  }

  forget(job: Job): void {
    this.#sequences.get(job.request.sequenceId ?? '')?.jobs.forget(job);
  }

  peek(workerId: string): Job | undefined {
    return this.#offering(workerId).next().value?.jobs.peek();
  }

  take(limit: number, workerId: string): Job[] {
    const batch: Job[] = [];
    for (const sequence of this.#offering(workerId)) {
      const next = sequence.jobs.peek()!;
      const first = batch[0] ?? next;
      if (batch.length >= limit || (batch.length > 0 && next.isAlone)) break;
      if (next.request.operation !== first.request.operation) continue;
      sequence.workerId = workerId;
      batch.push(...sequence.jobs.take(1));
      if (next.isAlone) break;
    }
    return batch;
  }

  /** The state of its sequences died with it. */
  workerLost(workerId: string): Job[] {
    const orphans = [...this.#sequences.values()].filter((sequence) => sequence.workerId === workerId);
    for (const { id } of orphans) this.#sequences.delete(id);
    return orphans.flatMap(({ jobs }) => jobs.drain());
  }

  endSequences(ids: readonly string[]): void {
    for (const id of ids) if (this.#sequences.get(id)?.jobs.length === 0) this.#sequences.delete(id);
  }

  drain(): Job[] {
    return [...this.#sequences.values()].flatMap(({ jobs }) => jobs.drain());
  }

  /** Sequences with a waiting job that this worker holds, or may take on. */
  *#offering(workerId: string): Generator<Sequence, undefined> {
    let held = 0;
    for (const sequence of this.#sequences.values()) if (sequence.workerId === workerId) held += 1;
    for (const sequence of this.#sequences.values()) {
      if (sequence.jobs.peek() === undefined) continue;
      if (sequence.workerId === workerId) yield sequence;
      else if (sequence.workerId === undefined && held < this.#spec.maxPerWorker) {
        held += 1;
        yield sequence;
      }
    }
    return undefined;
  }

  /** The live sequence of that id, or a new one where there is room. */
  #sequenceOf(id: string): Sequence | undefined {
    this.#expire();
    const known = this.#sequences.get(id);
    if (known !== undefined) return known;
    if (this.#sequences.size >= this.#spec.maxSequences) return undefined;
    const now = this.#clock.now();
    const jobs = new JobQueue({ maxJobs: this.#spec.maxJobsPerSequence, maxBytes: this.#bounds.maxBytes });
    const sequence: Sequence = { id, jobs, createdAtMs: now, lastUsedAtMs: now, workerId: undefined };
    this.#sequences.set(id, sequence);
    return sequence;
  }

  #expire(): void {
    const now = this.#clock.now();
    for (const [id, { createdAtMs, lastUsedAtMs, jobs }] of this.#sequences) {
      const isIdle = now - lastUsedAtMs >= this.#spec.maxIdleMs;
      const isOld = this.#spec.timeoutMs > 0 && now - createdAtMs >= this.#spec.timeoutMs;
      if ((isIdle || isOld) && jobs.length === 0) this.#sequences.delete(id);
    }
  }
}

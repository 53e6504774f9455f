// One worker as its lane sees it: what it has in hand, since when, and whether it may be given more.
import type { Clock, Timer } from '../kernel/index.ts';
import { describeOverdue } from './client-faults.ts';
import type { Operation } from './inference.ts';
import type { Job } from './job.ts';
import type { BatchItem, DeathCause, WorkerHandle } from './ports.ts';

export interface Batch {
  readonly id: number;
  readonly operation: Operation;
  readonly jobs: readonly Job[];
  readonly sentAtMs: number;
}

/** A second batch waits in the worker's socket only where the first is so short that the gap would show. */
const SHORT_BATCH_MS = 20;
/** Of very short batches more than two may wait, up to about this much work: fewer wake-ups, no noticeable queue. */
const PREFETCH_MS = 1;
const MAX_PREFETCH = 32;
/** More than two only while what is in hand is small: the worker's socket should never be what a large body waits for. */
const PREFETCH_BYTES = 128 * 1024;
/** Bodies up to this size in a batch are copied when they are sent: nobody has to say when they have left. */
const COPIED_BYTES = 16 * 1024;
/** Weight of the newest batch in the running mean of service times. */
const SERVICE_TIME_WEIGHT = 0.2;

export class Seat {
  readonly workerId: string;
  readonly #clock: Clock;
  readonly #responseTimeoutMs: number;
  readonly #asyncDepth: number | undefined;
  #bytesInHand = 0;
  readonly #batches: Batch[] = [];
  /** Jobs whose bodies are on their way into the socket. */
  readonly #sending = new Map<number, readonly Job[]>();
  /** Continuous batching: jobs that stay with this worker between steps. */
  running: Job[] = [];
  isReady = false;
  isLeaving = false;
  #worker: WorkerHandle | undefined;
  #serviceMs = Number.POSITIVE_INFINITY;
  /** When the batch in front began to be served, or last gave a sign of life. */
  #frontSinceMs = 0;
  #watch: Timer | undefined;
  #whenEmpty: (() => void) | undefined;
  #served = 0;

  /** `asyncDepth`: batches that an asynchronous worker may hold; undefined for one that answers in order. */
  constructor(workerId: string, clock: Clock, responseTimeoutMs: number, asyncDepth?: number) {
    this.workerId = workerId;
    this.#clock = clock;
    this.#responseTimeoutMs = responseTimeoutMs;
    this.#asyncDepth = asyncDepth;
  }

  occupy(worker: WorkerHandle): void {
    this.#worker = worker;
  }

  get worker(): WorkerHandle | undefined {
    return this.#worker;
  }

  get batches(): readonly Batch[] {
    return this.#batches;
  }

  get isIdle(): boolean {
    return this.isReady && !this.isLeaving && this.#batches.length === 0;
  }

  /** May take a batch behind the one it is serving. */
  get canTakeAnother(): boolean {
    return this.isReady && !this.isLeaving && this.#batches.length < this.#depth;
  }

  get #depth(): number {
    if (this.#asyncDepth !== undefined) return this.#asyncDepth;
    if (this.#serviceMs >= SHORT_BATCH_MS) return 1;
    if (this.#bytesInHand > PREFETCH_BYTES) return 2;
    return Math.min(MAX_PREFETCH, Math.max(2, Math.floor(PREFETCH_MS / this.#serviceMs)));
  }

  send(batch: Batch): void {
    const worker = this.#worker;
    if (worker === undefined) throw new Error('a seat without a worker was given a batch');
    if (this.#batches.push(batch) === 1) this.#frontSinceMs = batch.sentAtMs;
    let bytes = 0;
    for (const job of batch.jobs) bytes += job.bytes;
    this.#bytesInHand += bytes;
    if (bytes > COPIED_BYTES) {
      this.#sending.set(batch.id, batch.jobs);
      for (const job of batch.jobs) job.beginWrite();
    }
    this.#startWatch();
    worker.run(batch.id, batch.operation, batch.jobs.map(toItem));
  }

  /** The worker's socket has taken the bodies of this batch. */
  sent(batchId: number): void {
    for (const job of this.#sending.get(batchId) ?? []) job.endWrite();
    this.#sending.delete(batchId);
  }

  find(batchId: number): Batch | undefined {
    return this.#batches.find((batch) => batch.id === batchId);
  }

  /** The worker gave a piece of a stream: the response timeout runs between pieces (surface spec 2.7). */
  signOfLife(): void {
    this.#frontSinceMs = this.#clock.now();
  }

  /** Takes a finished batch out. */
  finish(batch: Batch): void {
    const at = this.#batches.indexOf(batch);
    if (at < 0) return;
    const now = this.#clock.now();
    if (at === 0) {
      const took = now - this.#frontSinceMs;
      this.#serviceMs = Number.isFinite(this.#serviceMs)
        ? this.#serviceMs + (took - this.#serviceMs) * SERVICE_TIME_WEIGHT
        : took;
      this.#frontSinceMs = now;
    }
    this.#batches.splice(at, 1);
    for (const job of batch.jobs) this.#bytesInHand -= job.bytes;
    this.#served += batch.jobs.length;
    if (this.#batches.length === 0) this.#whenEmpty?.();
  }

  /** The worker is gone: gives up everything it had in hand, the batch being served first. */
  vacate(): readonly Batch[] {
    this.#watch?.cancel();
    this.#watch = undefined;
    this.isReady = false;
    this.#worker = undefined;
    this.#serviceMs = Number.POSITIVE_INFINITY;
    this.#bytesInHand = 0;
    this.#served = 0;
    this.#sending.clear();
    this.running = [];
    const batches = this.#batches.splice(0);
    this.#whenEmpty?.();
    return batches;
  }

  /** True once for every `maxRequests` requests: a replacement that failed is asked for again. 0: never. */
  isSpent(maxRequests: number): boolean {
    if (maxRequests === 0 || this.#served < maxRequests) return false;
    this.#served = 0;
    return true;
  }

  /** Resolves when nothing is in hand. */
  whenEmpty(): Promise<void> {
    if (this.#batches.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  kill(cause: DeathCause): void {
    this.#worker?.kill(cause);
  }

  /** One timer for the seat, re-armed only when it fires: nothing is scheduled or cancelled per request. */
  #startWatch(): void {
    if (this.#watch !== undefined || this.#asyncDepth !== undefined) return;
    const waited = this.#clock.now() - this.#frontSinceMs;
    this.#watch = this.#clock.after(Math.max(1, this.#responseTimeoutMs - waited), () => {
      this.#watch = undefined;
      const front = this.#batches[0];
      if (front === undefined) return;
      if (this.#clock.now() - this.#frontSinceMs >= this.#responseTimeoutMs) this.#overdue(front);
      if (this.#worker !== undefined) this.#startWatch();
    });
  }

  /** A describe that takes too long is answered, and its worker spared once (surface spec 10.5). */
  #overdue(front: Batch): void {
    if (front.operation === 'describe' && !front.jobs[0]!.hasEnded) {
      front.jobs[0]!.fail(describeOverdue());
      this.signOfLife();
    } else {
      this.kill({ kind: 'response_timeout', afterMs: this.#responseTimeoutMs });
    }
  }
}

function toItem(job: Job): BatchItem {
  const { requestId, headers, parts, sequenceId } = job.request;
  return {
    requestId,
    headers,
    parts: job.isCached ? [] : parts,
    isCached: job.isCached,
    ...(sequenceId === undefined ? {} : { sequenceId }),
  };
}

// How the jobs of a lane end: with their result, with a fault, or back in the queue for one more try. Tells the observers.
import { Fault, type Clock } from '../kernel/index.ts';
import type { Announcements } from './announcements.ts';
import { faultOfDeath } from './client-faults.ts';
import type { Reply } from './inference.ts';
import type { Job } from './job.ts';
import type { BatchResult, DeathCause } from './ports.ts';
import type { Batch } from './seat.ts';
import type { LaneSpec } from './shard-protocol.ts';
import type { WaitingJobs } from './waiting-jobs.ts';

/** A job whose worker dies this often, without the job being to blame for certain, is not tried again. */
const MAX_DEATHS = 2;

export class Settlement {
  readonly #spec: LaneSpec;
  readonly #queue: WaitingJobs;
  readonly #clock: Clock;
  readonly #announce: Announcements;
  #isClosed = false;

  constructor(spec: LaneSpec, queue: WaitingJobs, clock: Clock, announce: Announcements) {
    this.#spec = spec;
    this.#queue = queue;
    this.#clock = clock;
    this.#announce = announce;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The lane closes: from now on nothing is tried again. */
  close(): void {
    this.#isClosed = true;
  }

  accepted(job: Job): void {
    this.#publish('accepted', job, 0);
  }

  fail(job: Job, fault: Fault): void {
    if (job.fail(fault)) this.#publish('failed', job, 1, fault);
  }

  /** Hands each job its result, in order. Returns those that stay with their worker (continuous batching). */
  results(batch: Batch, results: readonly (BatchResult | Fault)[]): Job[] {
    const staying: Job[] = [];
    for (const [index, job] of batch.jobs.entries()) {
      const result = results[index]!;
      if (result instanceof Fault) this.fail(job, result);
      else if (result.more && this.#spec.isContinuous) {
        job.piece(result.reply);
        job.isCached = true;
        if (!job.hasEnded) staying.push(job);
      } else this.#answer(job, batch, result);
    }
    return staying;
  }

  /** One item may have spoilt the batch for the others: each is run once more on its own (design.md section 4). */
  batchFault(batch: Batch, fault: Fault): void {
    const again: Job[] = [];
    const mayRetry = this.#spec.retryFailedBatches && batch.jobs.length > 1 && this.#mayRunAgain;
    for (const job of batch.jobs) {
      if (job.hasEnded) continue;
      if (!mayRetry || job.hasStreamed || job.isAlone) this.fail(job, fault);
      else {
        job.isAlone = true;
        again.push(job);
      }
    }
    this.#queue.putBack(again);
  }

  /** A worker died with these in hand, the batch that it was serving first: only that one can be to blame. */
  death(workerId: string, batches: readonly Batch[], cause: DeathCause): void {
    const [front, ...behind] = this.#spec.isAsync ? [undefined, ...batches] : batches;
    const innocent: Job[] = [];
    for (const job of behind.flatMap((batch) => batch?.jobs ?? [])) {
      job.deaths += 1;
      if (job.hasStreamed || job.deaths > MAX_DEATHS || !this.#mayRunAgain) this.fail(job, faultOfDeath(cause));
      else innocent.push(job);
    }
    this.#queue.putBack(innocent);
    for (const orphan of this.#queue.workerLost(workerId)) this.fail(orphan, faultOfDeath(cause));
    if (front === undefined) return;
    if (cause.kind === 'stopped' && this.#mayRunAgain) this.#stopped(front, faultOfDeath(cause));
    else this.batchFault(front, faultOfDeath(cause));
  }

  /** Scaling down is not the request's fault (surface spec 10.5); half an answer cannot be begun again. */
  #stopped(batch: Batch, fault: Fault): void {
    for (const job of batch.jobs) if (job.hasStreamed) this.fail(job, fault);
    this.#queue.putBack(batch.jobs);
  }

  /** A stateful handler may have applied a request before it failed; its state is gone with its worker. */
  get #mayRunAgain(): boolean {
    return !this.#isClosed && this.#spec.sequence === null;
  }

  #answer(job: Job, batch: Batch, result: BatchResult): void {
    if (this.#spec.sequence !== null) this.#endSequences(result.reply, this.#spec.sequence.headers.end);
    if (job.answer(result.reply)) this.#publish('answered', job, batch.jobs.length);
  }

  #endSequences({ headers }: Reply, endHeader: string): void {
    const ids = headers.find(([name]) => name.toLowerCase() === endHeader.toLowerCase())?.[1];
    if (ids !== undefined) this.#queue.endSequences(ids.split(';'));
  }

  #publish(kind: 'accepted' | 'answered' | 'failed', job: Job, batchSize: number, fault?: Fault): void {
    const channel = this.#announce.inference;
    if (!channel.hasSubscribers) return;
    channel.publish({
      kind,
      model: this.#spec.name,
      version: this.#spec.version,
      requestedVersion: job.request.version,
      queueMs: job.sentAtMs === 0 ? 0 : job.sentAtMs - job.arrivedAtMs,
      totalMs: kind === 'accepted' ? 0 : this.#clock.now() - job.arrivedAtMs,
      batchSize,
      isRpc: job.request.isRpc === true,
      ...(fault === undefined ? {} : { fault }),
    });
  }
}

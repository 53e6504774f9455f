// The data path of one model version: its queue, its batcher and the seats of its workers. No I/O of its own.
import { Fault, newRequestId, type Clock, type Timer } from '../kernel/index.ts';
import { batchClosesInMs } from '../model/index.ts';
import type { Announcements } from './announcements.ts';
import { describeOverdue, noWorker } from './client-faults.ts';
import type { InferenceRequest, Outlet, Ticket } from './inference.ts';
import { JobQueue } from './job-queue.ts';
import { SequenceQueue } from './sequence-queue.ts';
import type { WaitingJobs } from './waiting-jobs.ts';
import { Job } from './job.ts';
import type { BatchResult, DeathCause, WorkerEvents } from './ports.ts';
import { Seat, type Batch } from './seat.ts';
import { Settlement } from './settlement.ts';
import type { LaneSpec, LaneStats } from './shard-protocol.ts';

export class Lane {
  readonly spec: LaneSpec;
  readonly #clock: Clock;
  readonly #announce: Announcements;
  readonly #queue: WaitingJobs;
  readonly #settlement: Settlement;
  readonly #seats = new Map<string, Seat>();
  #batchTimer: Timer | undefined;
  #nextBatchId = 1;
  #inFlight = 0;
  /** Whether requests overlap. Assumed until one batch of one has waited for company in vain. */
  #hasCompany = true;

  constructor(spec: LaneSpec, clock: Clock, announce: Announcements) {
    this.spec = spec;
    this.#clock = clock;
    this.#announce = announce;
    const bounds = { maxJobs: spec.maxQueuedJobs, maxBytes: spec.maxQueuedBytes };
    this.#queue = spec.sequence === null ? new JobQueue(bounds) : new SequenceQueue(spec.sequence, bounds, clock);
    this.#settlement = new Settlement(spec, this.#queue, clock, announce);
  }

  get stats(): LaneStats {
    return { remainingCapacity: this.#queue.remainingCapacity, pendingRequests: this.#queue.length };
  }

  submit(request: InferenceRequest, outlet: Outlet): Ticket {
    const job = new Job(this.#inSequence(request), outlet, this.#clock.now());
    this.#settlement.accepted(job);
    this.#refuseIfHopeless(request);
    if (!this.#queue.offer(job)) throw noWorker('queue_full', request);
    if (this.#inFlight > 0 || this.#queue.length > 1) this.#hasCompany = true;
    this.#armDeadline(job);
    this.pump();
    return { cancel: () => this.#abandon(job) };
  }

  /** Adds a seat for a worker that is being started; its events arrive through the returned object. */
  addSeat(workerId: string, onChange: (change: SeatChange) => void): { seat: Seat; events: WorkerEvents } {
    const asyncDepth = this.spec.isAsync ? this.spec.maxQueuedJobs : undefined;
    const seat = new Seat(workerId, this.#clock, this.spec.responseTimeoutMs, asyncDepth);
    this.#seats.set(workerId, seat);
    return { seat, events: this.#eventsOf(seat, onChange) };
  }

  get hasSeats(): boolean {
    return this.#seats.size > 0;
  }

  seat(workerId: string): Seat | undefined {
    return this.#seats.get(workerId);
  }

  /** The worker will not come back. With the last one, nobody is left to answer what waits. */
  removeSeat(workerId: string): void {
    this.#seats.delete(workerId);
    if (this.#seats.size === 0) this.failWaiting((job) => noWorker('no_worker', job.request));
  }

  /** Accepts nothing more; what waits is answered with `fault`, what runs may finish. */
  close(fault: Fault): void {
    this.#settlement.close();
    this.failWaiting(() => fault);
  }

  failWaiting(faultFor: (job: Job) => Fault): void {
    for (const job of this.#queue.drain()) this.#settlement.fail(job, faultFor(job));
  }

  /** Sends what may be sent now. Called whenever a job, a worker or room has come. */
  pump(): void {
    for (;;) {
      const seat = this.#freeSeat();
      const oldest = seat && this.#queue.peek(seat.workerId);
      if (seat === undefined || oldest === undefined) return;
      const waitMs = oldest.isAlone ? 0 : this.#closesInMs(oldest);
      if (waitMs > 0) return this.#wakeIn(waitMs);
      this.#dispatch(seat, this.#queue.take(this.spec.batchSize, seat.workerId));
    }
  }

  /** Stateful models: a request without a sequence begins one (surface spec 2.8). */
  #inSequence(request: InferenceRequest): InferenceRequest {
    if (this.spec.sequence === null || request.sequenceId !== undefined) return request;
    const { headers } = this.spec.sequence;
    const sequenceId = `ts-seq-${newRequestId()}`;
    return { ...request, sequenceId, headers: [...request.headers, [headers.id, sequenceId], [headers.start, 'true']] };
  }

  /** Continuous batching: the next step takes the jobs that stay, and waiting ones that may join them. */
  #step(seat: Seat, staying: readonly Job[]): void {
    const next = this.#queue.peek(seat.workerId);
    const mayJoin = next !== undefined && !next.isAlone && next.request.operation === staying[0]!.request.operation;
    const room = mayJoin ? this.spec.batchSize - staying.length : 0;
    this.#dispatch(seat, [...staying, ...this.#queue.take(room, seat.workerId)]);
  }

  #dispatch(seat: Seat, jobs: readonly Job[]): void {
    const now = this.#clock.now();
    if (jobs.length === 1 && this.#inFlight === 0) this.#hasCompany = false;
    for (const job of jobs) if (!job.isCached) job.sentAtMs = now;
    const batch: Batch = { id: this.#nextBatchId, operation: jobs[0]!.request.operation, jobs, sentAtMs: now };
    this.#nextBatchId = this.#nextBatchId >= 0x7fffffff ? 1 : this.#nextBatchId + 1;
    this.#inFlight += jobs.length;
    seat.send(batch);
  }

  #closesInMs(oldest: Job): number {
    if (this.spec.batchSize <= 1) return 0;
    const now = this.#clock.now();
    return batchClosesInMs({
      batchSize: this.spec.batchSize,
      maxBatchDelayMs: this.spec.maxBatchDelayMs,
      waiting: this.#queue.length,
      oldestWaitedMs: now - oldest.arrivedAtMs,
      newestWaitedMs: now - (this.#queue.newest ?? oldest).arrivedAtMs,
      inFlight: this.#inFlight,
      hasCompany: this.#hasCompany,
    });
  }

  #wakeIn(delayMs: number): void {
    this.#batchTimer?.cancel();
    this.#batchTimer = this.#clock.after(delayMs, () => {
      this.#batchTimer = undefined;
      this.pump();
    });
  }

  /** An idle seat that something waits for, else one that may take a second batch behind a short one. */
  #freeSeat(): Seat | undefined {
    const isOneAtATime = this.spec.isContinuous || this.spec.sequence !== null;
    let second: Seat | undefined;
    for (const seat of this.#seats.values()) {
      if (seat.isIdle && (this.spec.sequence === null || this.#queue.peek(seat.workerId) !== undefined)) return seat;
      if (!isOneAtATime && seat.canTakeAnother && (second?.batches.length ?? Infinity) > seat.batches.length) {
        second = seat;
      }
    }
    return second;
  }

  #eventsOf(seat: Seat, onChange: (change: SeatChange) => void): WorkerEvents {
    return {
      onStarted: (pid) => onChange({ kind: 'started', pid }),
      onLoaded: (metadata) => {
        seat.isReady = true;
        onChange({ kind: 'loaded', metadata });
        this.pump();
      },
      onSent: (batchId) => seat.sent(batchId),
      onPiece: (batchId, index, reply) => {
        seat.signOfLife();
        seat.find(batchId)?.jobs[index]?.piece(reply);
      },
      onDone: (batchId, results) => {
        this.#done(seat, batchId, results);
        if (seat.isSpent(this.spec.maxRequestsPerWorker)) onChange({ kind: 'spent' });
      },
      onBatchFault: (batchId, fault) => this.#failed(seat, batchId, fault),
      onMetrics: (samples) =>
        this.#announce.handlerMetrics.publish({ model: this.spec.name, version: this.spec.version, samples }),
      onOutputDropped: (bytes) => onChange({ kind: 'output_dropped', bytes }),
      onExit: (cause) => {
        this.#lost(seat, cause);
        onChange({ kind: 'exited', cause });
        this.pump();
      },
    };
  }

  /** Its results are in: jobs that stay go into the worker's next step. */
  #done(seat: Seat, batchId: number, results: readonly (BatchResult | Fault)[]): void {
    const batch = this.#finish(seat, batchId);
    if (batch === undefined) return;
    const staying = this.#settlement.results(batch, results);
    seat.running = staying;
    if (staying.length > 0) this.#step(seat, staying);
    this.pump();
  }

  #failed(seat: Seat, batchId: number, fault: Fault): void {
    const batch = this.#finish(seat, batchId);
    if (batch === undefined) return;
    seat.running = [];
    this.#settlement.batchFault(batch, fault);
    this.pump();
  }

  #lost(seat: Seat, cause: DeathCause): void {
    const batches = seat.vacate();
    for (const batch of batches) this.#inFlight -= batch.jobs.length;
    this.#settlement.death(seat.workerId, batches, cause);
  }

  #finish(seat: Seat, batchId: number): Batch | undefined {
    const batch = seat.find(batchId);
    if (batch === undefined) return undefined;
    seat.finish(batch);
    this.#inFlight -= batch.jobs.length;
    if (this.#announce.batch.hasSubscribers) {
      this.#announce.batch.publish({
        model: this.spec.name,
        version: this.spec.version,
        workerId: seat.workerId,
        batchSize: batch.jobs.length,
        workerMs: this.#clock.now() - batch.sentAtMs,
      });
    }
    return batch;
  }

  #abandon(job: Job): void {
    if (!job.abandon()) return;
    if (job.isQueued) this.#queue.forget(job);
    else if (this.spec.isContinuous) this.#cancelRunning(job);
    // Operators of streaming models grep these words (surface spec 2.7).
    const message = `Connection to client got closed; Removing job: ${job.request.requestId}`;
    if (this.spec.isContinuous) this.#announce.notice.publish({ level: 'warn', message });
  }

  #cancelRunning(job: Job): void {
    for (const seat of this.#seats.values()) {
      const batch = seat.batches.find((candidate) => candidate.jobs.includes(job));
      if (batch !== undefined) seat.worker?.cancel(batch.id, [batch.jobs.indexOf(job)]);
    }
  }

  #armDeadline(job: Job): void {
    if (job.request.operation === 'describe') return this.#armDescribe(job);
    const limits = [job.request.timeoutMs, this.spec.clientTimeoutMs || undefined].filter((ms) => ms !== undefined);
    if (limits.length === 0) return;
    job.deadline = this.#clock.after(Math.min(...limits), () => {
      if (job.isQueued) this.#queue.forget(job);
      this.#settlement.fail(job, new Fault('client_timeout', 'The request was not answered within its time limit.'));
    });
  }

  /** A describe job in hand is its seat's to watch; behind a hung worker, a hundred would hold up the model for minutes. */
  #armDescribe(job: Job): void {
    job.deadline = this.#clock.after(this.spec.responseTimeoutMs, () => {
      if (!job.isQueued) return;
      this.#queue.forget(job);
      this.#settlement.fail(job, describeOverdue());
    });
  }

  #refuseIfHopeless(request: InferenceRequest): void {
    if (this.#settlement.isClosed) throw new Fault('model_not_found', `Model not found: ${this.spec.name}`);
    if (this.#seats.size === 0) throw noWorker('no_worker', request);
    if (this.spec.useJobTicket && this.#idleSeats() <= this.#queue.length) {
      this.#announce.notice.publish({ level: 'info', message: 'There are no job tickets available' });
      throw noWorker('queue_full', request);
    }
  }

  #idleSeats(): number {
    let idle = 0;
    for (const seat of this.#seats.values()) if (seat.isIdle) idle += 1;
    return idle;
  }
}

/** What happened to a seat's worker, for whoever supervises it. */
export type SeatChange =
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'loaded'; readonly metadata: { readonly inputs?: unknown; readonly outputs?: unknown } }
  | { readonly kind: 'exited'; readonly cause: DeathCause }
  | { readonly kind: 'output_dropped'; readonly bytes: number }
  | { readonly kind: 'spent' };

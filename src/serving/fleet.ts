// The workers of one model version: how many there should be, what became of each, and when to start it again.
import { Fault, type Clock, type Timer } from '../kernel/index.ts';
import {
  initialWorkerState,
  isWorkerHealthy,
  nextWorkerState,
  torchServeStateName,
  type WorkerState,
} from '../model/index.ts';
import type { Announcements } from './announcements.ts';
import type { DeathCause, WorkerSpec } from './ports.ts';
import type { LaneKey, ShardControl, ShardEvent } from './shard-protocol.ts';

export interface FleetWorker {
  readonly id: string;
  state: WorkerState;
  pid: number;
  /** Wall time of the latest start, in milliseconds since the epoch. */
  startedAt: number;
  readonly gpuId: number | null;
  restarts: number;
  lastDeath: DeathCause | undefined;
  /** Of stdout and stderr, thrown away because it was too much. */
  droppedOutputBytes: number;
  /** The worker that this one is to replace once it is ready. */
  replaces: FleetWorker | undefined;
}

export interface FleetOptions {
  readonly key: LaneKey;
  readonly maxRetryMs: number;
  readonly shard: ShardControl;
  readonly clock: Clock;
  readonly announce: Announcements;
  readonly nextWorkerId: () => string;
  readonly assignGpu: () => number | null;
  /** How long a worker that is being replaced may finish what it has in hand. */
  readonly drainMs: number;
  readonly specFor: (workerId: string, gpuId: number | null) => WorkerSpec;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #workers = new Map<string, FleetWorker>();
  readonly #retries = new Map<string, Timer>();
  readonly #stops = new Map<string, Promise<void>>();
  #waiters: Waiter[] = [];
  #isClosed = false;
  #unsuccessful = 0;
  /** Metadata that a worker reported about the model's tensors. */
  metadata: { readonly inputs?: unknown; readonly outputs?: unknown } = {};

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get workers(): readonly FleetWorker[] {
    return [...this.#workers.values()];
  }

  /** What a worker that started now would be told. */
  get spec(): WorkerSpec {
    return this.#options.specFor('', null);
  }

  get healthyCount(): number {
    const now = this.#options.clock.now();
    return this.workers.filter(({ state }) => isWorkerHealthy(state, now, this.#options.maxRetryMs)).length;
  }

  get readyCount(): number {
    return this.workers.filter(({ state }) => state.kind === 'ready').length;
  }

  /** Starts workers up to `min`; stops the newest ones above `max` (surface spec 10.3). Resolves when those are gone. */
  async resize(min: number, max: number, graceMs: number): Promise<void> {
    // Scaling is also how an operator revives workers that were given up (surface spec 10.4).
    for (const worker of this.#staying.filter(({ state }) => state.kind === 'failed')) await this.#stop(worker, 0);
    if (this.#isClosed) throw this.#gone();
    for (let count = this.#staying.length; count < min; count += 1) this.#add();
    await Promise.all(this.#staying.slice(max).map((worker) => this.#stop(worker, graceMs)));
  }

  /** The model leaves: stops every worker for good. A resize that is still under way starts none. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#gone());
    await Promise.all(this.workers.map((worker) => this.#stop(worker, graceMs)));
  }

  #gone(): Fault {
    return new Fault('model_not_found', `Model not found: ${this.#options.key.name}`);
  }

  get #staying(): readonly FleetWorker[] {
    return this.workers.filter(({ state }) => state.kind !== 'stopping');
  }

  /**
   * Resolves when every worker is ready; rejects with `worker_start_failed` or `worker_start_oom` at the first that dies,
   * and with `model_not_found` when the model leaves meanwhile.
   */
  whenReady(): Promise<void> {
    if (this.#isClosed) return Promise.reject(this.#gone());
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#tellWaiters();
    });
  }

  handle(event: ShardEvent): void {
    const worker = this.#workers.get(event.workerId);
    if (worker === undefined) return;
    switch (event.kind) {
      case 'started':
        worker.pid = event.pid;
        return;
      case 'loaded':
        return this.#loaded(worker, event.metadata);
      case 'exited':
        return this.#exited(worker, event.cause);
      case 'output_dropped':
        worker.droppedOutputBytes += event.bytes;
        return;
      case 'spent':
        return this.#replace(worker);
    }
  }

  #add(replaces?: FleetWorker): void {
    const { nextWorkerId, assignGpu, clock } = this.#options;
    const worker: FleetWorker = {
      id: nextWorkerId(),
      state: initialWorkerState,
      pid: -1,
      startedAt: clock.wallTime(),
      gpuId: assignGpu(),
      restarts: 0,
      lastDeath: undefined,
      droppedOutputBytes: 0,
      replaces,
    };
    this.#workers.set(worker.id, worker);
    this.#say(worker, { kind: 'state', from: 'null', to: torchServeStateName(worker.state) });
    this.#launch(worker);
  }

  #launch(worker: FleetWorker): void {
    const { shard, key, specFor, clock } = this.#options;
    worker.startedAt = clock.wallTime();
    worker.pid = -1;
    shard.startWorker(key, specFor(worker.id, worker.gpuId));
  }

  #loaded(worker: FleetWorker, metadata: Fleet['metadata']): void {
    this.metadata = metadata;
    this.#unsuccessful = 0;
    this.#move(worker, nextWorkerState(worker.state, { kind: 'loaded' }));
    this.#say(worker, { kind: 'loaded', loadMs: this.#options.clock.wallTime() - worker.startedAt });
    this.#tellWaiters();
    this.#relieve(worker);
  }

  /** The old worker serves until the new one can: recycling costs no request, and a model that no longer loads goes on. */
  #replace(worker: FleetWorker): void {
    const isUnderWay = this.#staying.some(({ replaces }) => replaces === worker);
    if (worker.state.kind === 'ready' && !isUnderWay) this.#add(worker);
  }

  #relieve(worker: FleetWorker): void {
    const old = worker.replaces;
    worker.replaces = undefined;
    if (old === undefined || old.state.kind === 'stopping' || !this.#workers.has(old.id)) return;
    this.#stop(old, this.#options.drainMs).catch((cause: unknown) =>
      this.#options.announce.notice.publish({ level: 'error', message: 'A worker could not be replaced.', cause }),
    );
  }

  #exited(worker: FleetWorker, cause: DeathCause): void {
    worker.lastDeath = cause;
    worker.pid = -1;
    this.#say(worker, { kind: 'died', cause });
    if (cause.kind === 'response_timeout') {
      this.#unsuccessful += 1;
      this.#say(worker, { kind: 'unsuccessful_inference', consecutive: this.#unsuccessful });
    }
    if (worker.state.kind === 'stopping') return;
    const { clock, maxRetryMs, shard, key } = this.#options;
    this.#move(worker, nextWorkerState(worker.state, { kind: 'died', nowMs: clock.now(), maxRetryMs }));
    if (worker.state.kind === 'waiting') this.#retryLater(worker, worker.state.retryInSeconds);
    if (worker.state.kind === 'failed') {
      this.#say(worker, { kind: 'gave_up' });
      shard.removeWorker(key, worker.id);
    }
    const fault = faultOfStart(this.#options.key, cause);
    for (const waiter of this.#waiters.splice(0)) waiter.reject(fault);
  }

  #retryLater(worker: FleetWorker, inSeconds: number): void {
    this.#say(worker, { kind: 'retry', inSeconds });
    const timer = this.#options.clock.after(inSeconds * 1000, () => {
      this.#retries.delete(worker.id);
      worker.restarts += 1;
      this.#move(worker, nextWorkerState(worker.state, { kind: 'retry' }));
      this.#launch(worker);
    });
    this.#retries.set(worker.id, timer);
  }

  /** Scaling and unregistering may both want a worker gone: it is stopped once, and both wait for that. */
  #stop(worker: FleetWorker, graceMs: number): Promise<void> {
    const known = this.#stops.get(worker.id);
    if (known !== undefined) return known;
    const stopping = this.#end(worker, graceMs).finally(() => this.#stops.delete(worker.id));
    this.#stops.set(worker.id, stopping);
    return stopping;
  }

  async #end(worker: FleetWorker, graceMs: number): Promise<void> {
    this.#retries.get(worker.id)?.cancel();
    this.#retries.delete(worker.id);
    this.#move(worker, nextWorkerState(worker.state, { kind: 'stop' }));
    await this.#options.shard.stopWorker(this.#options.key, worker.id, graceMs);
    this.#workers.delete(worker.id);
    this.#tellWaiters();
  }

  #move(worker: FleetWorker, state: WorkerState): void {
    const from = torchServeStateName(worker.state);
    worker.state = state;
    this.#say(worker, { kind: 'state', from, to: torchServeStateName(state) });
  }

  #tellWaiters(): void {
    if (this.#staying.some(({ state }) => state.kind !== 'ready')) return;
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
  }

  #say(worker: FleetWorker, event: Parameters<Announcements['worker']['publish']>[0]['event']): void {
    const { announce, key } = this.#options;
    announce.worker.publish({ workerId: worker.id, model: key.name, version: key.version, event });
  }
}

function faultOfStart({ name, version }: LaneKey, cause: DeathCause): Fault {
  const isOutOfMemory = cause.kind === 'out_of_memory' || (cause.kind === 'load_failed' && cause.isOutOfMemory);
  return new Fault(
    isOutOfMemory ? 'worker_start_oom' : 'worker_start_failed',
    `Failed to start workers for model ${name} version: ${version}`,
    { cause },
  );
}

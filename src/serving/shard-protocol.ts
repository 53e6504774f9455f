// The narrow interface between the control plane and one shard of the data path. Every argument, result and event is
// plain data: it could cross a process boundary, and nothing here assumes that there is only one shard.
import type { Header, Reply } from './inference.ts';
import type { DeathCause, WorkerSpec } from './ports.ts';

/** How one model version is queued and batched. Durations in milliseconds, sizes in bytes. */
export interface LaneSpec {
  readonly name: string;
  readonly version: string;
  readonly batchSize: number;
  readonly maxBatchDelayMs: number;
  readonly maxQueuedJobs: number;
  readonly maxQueuedBytes: number;
  readonly responseTimeoutMs: number;
  /** 0: none. */
  readonly clientTimeoutMs: number;
  readonly retryFailedBatches: boolean;
  readonly useJobTicket: boolean;
  readonly isContinuous: boolean;
  readonly isAsync: boolean;
  /** After as many requests a worker is to be replaced; 0: never. */
  readonly maxRequestsPerWorker: number;
  readonly sequence: SequenceSpec | null;
}

export interface SequenceSpec {
  readonly maxIdleMs: number;
  /** 0: none. */
  readonly timeoutMs: number;
  readonly maxSequences: number;
  readonly maxJobsPerSequence: number;
  /** Share of the sequences that one worker may hold. */
  readonly maxPerWorker: number;
  /** Header names (surface spec 2.8). */
  readonly headers: { readonly id: string; readonly start: string; readonly end: string };
}

export interface LaneStats {
  readonly remainingCapacity: number;
  readonly pendingRequests: number;
}

export interface LaneKey {
  readonly name: string;
  readonly version: string;
}

/** What the control plane may ask of a shard. */
export interface ShardControl {
  openLane(spec: LaneSpec, isDefault: boolean): void;
  setDefault(key: LaneKey): void;
  /** Waiting requests are refused, running ones finish; the lane is gone when its workers are. */
  closeLane(key: LaneKey): void;
  startWorker(key: LaneKey, spec: WorkerSpec): void;
  /** Lets the batch in hand finish for `graceMs`, then ends the process. Resolves when it is gone. */
  stopWorker(key: LaneKey, workerId: string, graceMs: number): Promise<void>;
  /** The worker is given up: no restart will come. */
  removeWorker(key: LaneKey, workerId: string): void;
  /** Asks the handler to describe itself (surface spec 3.3). */
  describe(key: LaneKey, requestId: string, headers: readonly Header[]): Promise<Reply>;
  stats(key: LaneKey): Promise<LaneStats>;
}

export type ShardEvent = LaneKey & { readonly workerId: string } & (
    | { readonly kind: 'started'; readonly pid: number }
    | { readonly kind: 'loaded'; readonly metadata: { readonly inputs?: unknown; readonly outputs?: unknown } }
    | { readonly kind: 'exited'; readonly cause: DeathCause }
    | { readonly kind: 'output_dropped'; readonly bytes: number }
    /** The worker has served as many requests as it may (`maxRequestsPerWorker`), once or several times over. */
    | { readonly kind: 'spent' }
  );

// How one model version will be served: what the archive asks, the request says and the operator allows, made one.

/** The serving keys of model-config.yaml that were present and valid (surface spec 8.3). */
export interface ArchiveWishes {
  readonly minWorkers?: number;
  readonly maxWorkers?: number;
  readonly batchSize?: number;
  readonly maxBatchDelay?: number;
  readonly responseTimeout?: number;
  readonly startupTimeout?: number;
  readonly maxRetryTimeoutInSec?: number;
  readonly clientTimeoutInMills?: number;
  readonly jobQueueSize?: number;
  readonly useJobTicket?: boolean;
  readonly continuousBatching?: boolean;
  readonly sequenceBatching?: boolean;
  readonly sequenceMaxIdleMSec?: number;
  readonly sequenceTimeoutMSec?: number;
  readonly maxNumSequence?: number;
  readonly maxSequenceJobQueueSize?: number;
  readonly asyncCommunication?: boolean;
  readonly parallelType?: string;
  readonly parallelLevel?: number;
  readonly deviceType?: string;
  readonly deviceIds?: readonly number[];
  readonly useVenv?: boolean;
}

/** What the caller of register, or the `models` JSON of the configuration, asks for. Undefined: not said. */
export interface CallerWishes {
  readonly initialWorkers?: number | undefined;
  readonly minWorkers?: number | undefined;
  readonly maxWorkers?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly maxBatchDelayMs?: number | undefined;
  readonly responseTimeoutSec?: number | undefined;
  readonly startupTimeoutSec?: number | undefined;
  /** `python` or `python3`. No plan depends on it; it goes with the rest in `models` and snapshots. */
  readonly runtimeType?: string | undefined;
}

export interface OperatorDefaults {
  readonly initialWorkers: number;
  readonly responseTimeoutSec: number;
  readonly startupTimeoutSec: number;
  readonly jobQueueSize: number;
  readonly maxQueuedBytes: number;
  /** No archive and no request gets more than this. */
  readonly maxWorkersPerModel: number;
  /** Nor longer to start or to answer. Undefined: as long as it wants. */
  readonly maxTimeoutSec?: number | undefined;
}

export interface ServingPlan {
  readonly minWorkers: number;
  readonly maxWorkers: number;
  readonly batchSize: number;
  readonly maxBatchDelayMs: number;
  readonly responseTimeoutSec: number;
  readonly startupTimeoutSec: number;
  readonly maxRetryTimeoutSec: number;
  readonly clientTimeoutMs: number;
  readonly jobQueueSize: number;
  readonly maxQueuedBytes: number;
  readonly useJobTicket: boolean;
  readonly isContinuous: boolean;
  readonly isAsync: boolean;
  /** What the YAML says of `sequenceBatching`, whether or not the rest of it allows that. */
  readonly isStateful: boolean;
  /** Null when the model does not batch by sequence. */
  readonly sequence: SequencePlan | null;
  readonly parallelType: string;
  readonly parallelLevel: number;
  readonly deviceType: 'cpu' | 'gpu' | undefined;
  readonly deviceIds: readonly number[] | undefined;
  readonly useVenv: boolean;
  /** What was asked for and not granted, in words for the operator. */
  readonly reductions: readonly string[];
}

export interface SequencePlan {
  readonly maxIdleMs: number;
  readonly timeoutMs: number;
  readonly maxSequences: number;
  readonly maxJobsPerSequence: number;
}

/** Surface spec 3.1: with any model-config.yaml, its timeouts (or this value) win over everything else. */
const YAML_TIMEOUT_SEC = 120;
const DEFAULT_MAX_BATCH_DELAY_MS = 100;
const DEFAULT_MAX_RETRY_SEC = 300;
/** A batch is one frame; more items than this are not a batch but a denial of service. */
const MAX_BATCH_SIZE = 8192;
const MAX_TIMEOUT_SEC = 2_147_483;

/**
 * Priorities of surface spec 7.6: explicit batch parameters, then YAML, then `models` JSON, then defaults;
 * for timeouts YAML first, then `models` JSON, then the request, then the operator's default.
 */
export function planServing(
  archive: ArchiveWishes | null,
  request: CallerWishes,
  modelsJson: CallerWishes,
  operator: OperatorDefaults,
): ServingPlan {
  const reductions: string[] = [];
  const atMost = (limit: number, value: number, name: string): number => {
    if (value <= limit) return value;
    reductions.push(`${name} ${value} reduced to ${limit}, the operator's limit`);
    return limit;
  };
  const atLeastOne = (value: number, name: string): number => {
    if (value >= 1) return value;
    reductions.push(`${name} ${value} raised to 1`);
    return 1;
  };
  const yaml = archive ?? {};
  const parallel = parallelPlan(yaml);
  reductions.push(...parallel.reductions);
  if (yaml.sequenceBatching === true && !yaml.sequenceMaxIdleMSec) {
    reductions.push('sequenceBatching needs a sequenceMaxIdleMSec above 0: requests are not grouped into sequences');
  }
  const batchSize = request.batchSize ?? yaml.batchSize ?? modelsJson.batchSize ?? 1;
  const workers = workersWanted(yaml, request, modelsJson, operator);
  const maxWorkers = atMost(operator.maxWorkersPerModel, workers.max, 'maxWorkers');
  const timeout = (fromYaml: number | undefined, json?: number, asked?: number, fallback?: number): number =>
    atMost(
      Math.min(MAX_TIMEOUT_SEC, operator.maxTimeoutSec ?? MAX_TIMEOUT_SEC),
      archive === null ? (json ?? asked ?? fallback ?? YAML_TIMEOUT_SEC) : (fromYaml ?? YAML_TIMEOUT_SEC),
      'timeout',
    );
  return {
    minWorkers: Math.min(workers.min, maxWorkers),
    maxWorkers,
    // TorchServe serves one by one then, too.
    batchSize: atLeastOne(atMost(MAX_BATCH_SIZE, batchSize, 'batchSize'), 'batchSize'),
    maxBatchDelayMs:
      request.maxBatchDelayMs ?? (yaml.maxBatchDelay || modelsJson.maxBatchDelayMs) ?? DEFAULT_MAX_BATCH_DELAY_MS,
    responseTimeoutSec: timeout(
      yaml.responseTimeout,
      modelsJson.responseTimeoutSec,
      request.responseTimeoutSec,
      operator.responseTimeoutSec,
    ),
    startupTimeoutSec: timeout(
      yaml.startupTimeout,
      modelsJson.startupTimeoutSec,
      request.startupTimeoutSec,
      operator.startupTimeoutSec,
    ),
    maxRetryTimeoutSec: yaml.maxRetryTimeoutInSec ?? DEFAULT_MAX_RETRY_SEC,
    clientTimeoutMs: yaml.clientTimeoutInMills ?? 0,
    jobQueueSize: yaml.jobQueueSize
      ? atMost(MAX_QUEUED_JOBS, yaml.jobQueueSize, 'jobQueueSize')
      : operator.jobQueueSize,
    maxQueuedBytes: operator.maxQueuedBytes,
    useJobTicket: yaml.useJobTicket ?? false,
    isContinuous: yaml.continuousBatching ?? false,
    isAsync: yaml.asyncCommunication ?? false,
    isStateful: yaml.sequenceBatching ?? false,
    sequence: sequencePlan(yaml, atMost),
    parallelType: parallel.type,
    parallelLevel: parallel.level,
    deviceType: yaml.deviceType === 'cpu' || yaml.deviceType === 'gpu' ? yaml.deviceType : undefined,
    deviceIds: yaml.deviceIds,
    useVenv: yaml.useVenv ?? false,
    reductions,
  };
}

const MAX_QUEUED_JOBS = 100_000;

/** Surface spec 3.1: a valid YAML pair wins over everything, even over an explicit 0. */
function workersWanted(
  yaml: ArchiveWishes,
  request: CallerWishes,
  modelsJson: CallerWishes,
  operator: OperatorDefaults,
): { readonly min: number; readonly max: number } {
  const { minWorkers = 0, maxWorkers = 0 } = yaml;
  if (minWorkers > 0 && maxWorkers >= minWorkers) return { min: minWorkers, max: maxWorkers };
  const min = Math.max(0, modelsJson.minWorkers ?? request.initialWorkers ?? operator.initialWorkers);
  return { min, max: Math.max(min, modelsJson.maxWorkers ?? min) };
}

/** Surface spec 8.3, 8.4: without a type the level does not count. What TorchServe would start is told, but not started. */
function parallelPlan({ parallelType: type = '', parallelLevel = 0 }: ArchiveWishes): {
  readonly type: string;
  readonly level: number;
  readonly reductions: readonly string[];
} {
  const level = type === '' ? 0 : parallelLevel;
  if (type !== 'custom' && level > 0) {
    const reduction = `parallelType ${type} with ${level} processes is not served yet: each worker is one process`;
    return { type, level, reductions: [reduction] };
  }
  return { type, level, reductions: level > 1 ? [`parallelLevel ${level}: each worker gets one GPU at most`] : [] };
}

/** Every request looks through the open sequences of its model, which live as long as the archive says. */
const MAX_SEQUENCES = 10_000;

function sequencePlan(
  yaml: ArchiveWishes,
  atMost: (limit: number, value: number, name: string) => number,
): SequencePlan | null {
  if (yaml.sequenceBatching !== true || !yaml.sequenceMaxIdleMSec) return null;
  return {
    maxIdleMs: yaml.sequenceMaxIdleMSec,
    timeoutMs: yaml.sequenceTimeoutMSec ?? 0,
    maxSequences: atMost(MAX_SEQUENCES, yaml.maxNumSequence ?? 1, 'maxNumSequence'),
    maxJobsPerSequence: atMost(MAX_QUEUED_JOBS, yaml.maxSequenceJobQueueSize ?? 1, 'maxSequenceJobQueueSize'),
  };
}

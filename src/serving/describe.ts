// The describe document of one model version, in the documented order (surface spec 3.3), with Davy's additions at the end.
import type { AdmissionRecord, DeathCause } from './ports.ts';
import type { FleetWorker } from './fleet.ts';
import type { ModelDescription } from './management.ts';
import type { ModelRecord } from './model-record.ts';
import type { LaneStats } from './shard-protocol.ts';

export interface DescribeFacts {
  readonly stats: LaneStats;
  readonly isDebug: boolean;
  readonly gpuCount: number;
  /** Resident memory in bytes, 0 when unknown. */
  rssOf(pid: number): number;
  /** Utilisation and memory of a GPU in TorchServe's words. */
  gpuUsage(gpuId: number): string;
  /** Level and limits that hold the workers of this model. */
  readonly isolation: Readonly<Record<string, unknown>> | undefined;
}

/** What Java prints for "no timeout". */
const UNLIMITED_SEC = 2_147_483_647;

export function describeModel(record: ModelRecord, facts: DescribeFacts): ModelDescription {
  const { plan, admitted } = record;
  const deviceType = plan.deviceType === 'cpu' || facts.gpuCount === 0 ? 'cpu' : 'gpu';
  // One id that does not exist makes the whole list void.
  const deviceIds = plan.deviceIds?.every((id) => id < facts.gpuCount) ? plan.deviceIds : undefined;
  return {
    modelName: record.name,
    modelVersion: record.version,
    modelUrl: admitted.url,
    runtime: record.runtimeLabel,
    minWorkers: record.minWorkers,
    maxWorkers: record.maxWorkers,
    batchSize: plan.batchSize,
    maxBatchDelay: plan.maxBatchDelayMs,
    responseTimeout: facts.isDebug ? UNLIMITED_SEC : plan.responseTimeoutSec,
    startupTimeout: facts.isDebug ? UNLIMITED_SEC : plan.startupTimeoutSec,
    maxRetryTimeoutInSec: plan.maxRetryTimeoutSec,
    clientTimeoutInMills: plan.clientTimeoutMs,
    parallelType: plan.parallelType,
    parallelLevel: plan.parallelLevel,
    deviceType,
    ...(deviceIds === undefined ? {} : { deviceIds }),
    continuousBatching: plan.isContinuous,
    useJobTicket: plan.useJobTicket,
    useVenv: plan.useVenv,
    stateful: plan.isStateful,
    sequenceMaxIdleMSec: plan.sequence?.maxIdleMs ?? 0,
    sequenceTimeoutMSec: plan.sequence?.timeoutMs ?? 0,
    maxNumSequence: plan.sequence?.maxSequences ?? 0,
    maxSequenceJobQueueSize: plan.sequence?.maxJobsPerSequence ?? 0,
    loadedAtStartup: record.isLoadedAtStartup,
    workers: record.fleet.workers.map((worker) => describeWorker(worker, deviceType === 'gpu', facts)),
    jobQueueStatus: facts.stats,
    digest: `sha256:${admitted.digest}`,
    ...(facts.isolation === undefined ? {} : { isolation: facts.isolation }),
    ...(record.fleet.metadata.inputs === undefined ? {} : { inputs: record.fleet.metadata.inputs }),
    ...(record.fleet.metadata.outputs === undefined ? {} : { outputs: record.fleet.metadata.outputs }),
    ...(plan.reductions.length + admitted.warnings.length === 0
      ? {}
      : { warnings: [...admitted.warnings, ...plan.reductions] }),
    ...(record.admission === undefined ? {} : { admission: describeAdmission(record.admission) }),
  };
}

const SEVERITIES = ['critical', 'high', 'medium', 'low', 'info'];
/** A hostile archive can provoke one for each of its ten thousand members; the worst are shown. */
const MAX_FINDINGS = 200;

function describeAdmission(admission: AdmissionRecord): Record<string, unknown> {
  const worstFirst = admission.findings.toSorted(
    (a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity),
  );
  const omitted = Math.max(0, worstFirst.length - MAX_FINDINGS);
  return {
    ...admission,
    findings: worstFirst.slice(0, MAX_FINDINGS),
    ...(omitted === 0 ? {} : { omittedFindings: omitted }),
  };
}

function describeWorker(worker: FleetWorker, hasGpu: boolean, facts: DescribeFacts): Record<string, unknown> {
  return {
    id: worker.id,
    startTime: localTimeWithZ(worker.startedAt),
    status: worker.state.kind === 'ready' ? 'READY' : 'UNLOADING',
    memoryUsage: worker.pid > 0 ? facts.rssOf(worker.pid) : 0,
    pid: worker.pid,
    gpu: hasGpu && worker.gpuId !== null,
    gpuUsage: hasGpu && worker.gpuId !== null ? facts.gpuUsage(worker.gpuId) : 'N/A',
    ...(worker.restarts === 0 ? {} : { restarts: worker.restarts }),
    ...(worker.lastDeath === undefined ? {} : { lastDeath: describeDeath(worker.lastDeath) }),
    ...(worker.droppedOutputBytes === 0 ? {} : { droppedOutputBytes: worker.droppedOutputBytes }),
  };
}

/** Surface spec 3.3: TorchServe writes the local time, and a Z behind it. */
function localTimeWithZ(wallTime: number): string {
  const offsetMs = new Date(wallTime).getTimezoneOffset() * 60_000;
  return new Date(wallTime - offsetMs).toISOString();
}

/** Signals that the kernel sends for what only a limit or a filter of the cage forbids. */
const SIGNAL_MEANING: Readonly<Record<string, string>> = {
  SIGXFSZ: ': wrote a larger file than its limit',
  SIGSYS: ': made a system call that is forbidden',
};

/** A cause of death in one sentence, for describe and for the log. */
export function describeDeath(cause: DeathCause): string {
  switch (cause.kind) {
    case 'stopped':
      return 'stopped by the server';
    case 'exit':
      return `exited with status ${cause.exitCode}`;
    case 'signal':
      return `killed by ${cause.signal}${SIGNAL_MEANING[cause.signal] ?? ''}`;
    case 'out_of_memory':
      return 'killed for using more memory than its limit';
    case 'over_limit':
      return `killed for ${cause.limit === 'tasks' ? 'running more processes and threads' : 'keeping more temporary files'} than its limit`;
    case 'startup_timeout':
      return `did not load the model within ${cause.afterMs} ms`;
    case 'response_timeout':
      return `did not answer within ${cause.afterMs} ms`;
    case 'load_failed':
      return `could not load the model: ${cause.message}`;
    case 'protocol':
      return `broke the worker protocol: ${cause.offence}`;
    case 'oversize_response':
      return `sent a response of ${cause.bytes} bytes, more than max_response_size`;
    case 'spawn_failed':
      return `could not be started: ${cause.message}`;
  }
}

/** Surface spec 3.3: an object as it is, `{}` for anything else, nothing when the handler returned None. */
export function customizedMetadata(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null) return {};
    return { customizedMetadata: typeof value === 'object' && !Array.isArray(value) ? value : {} };
  } catch {
    // The handler described itself in something that is not JSON.
    return { customizedMetadata: {} };
  }
}

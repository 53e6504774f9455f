// What the data path needs to know of one registered model version.
import type { ModelRecord } from './model-record.ts';
import type { ServingSettings } from './serving-settings.ts';
import type { LaneSpec } from './shard-protocol.ts';
import { limitMs } from './worker-spec.ts';

export function laneSpec({ name, version, plan }: ModelRecord, settings: ServingSettings): LaneSpec {
  return {
    name,
    version,
    batchSize: plan.batchSize,
    maxBatchDelayMs: plan.maxBatchDelayMs,
    maxQueuedJobs: plan.jobQueueSize,
    maxQueuedBytes: plan.maxQueuedBytes,
    responseTimeoutMs: limitMs(plan.responseTimeoutSec, settings),
    clientTimeoutMs: plan.clientTimeoutMs,
    retryFailedBatches: settings.retryFailedBatches,
    useJobTicket: plan.useJobTicket,
    isContinuous: plan.isContinuous,
    isAsync: plan.isAsync,
    maxRequestsPerWorker: settings.maxRequestsPerWorker,
    sequence:
      plan.sequence === null
        ? null
        : {
            ...plan.sequence,
            maxPerWorker: Math.max(1, Math.ceil(plan.sequence.maxSequences / Math.max(1, plan.minWorkers))),
            headers: settings.sequenceHeaders,
          },
  };
}

// From the configuration to what serving needs of it.
import type { ModelDefaults, Settings } from '../config/index.ts';
import type { ServingSettings } from '../serving/index.ts';
import type { Machine } from './machine.ts';

type CallerWishes = ReturnType<ServingSettings['modelsJson']>;

/** A log of metrics gets a line a second of each series under load; between two lines nobody sees a gauge. */
const LOGGED_GAUGE_INTERVAL_MS = 100;

export function servingSettings(settings: Settings, machine: Machine, modelMetrics: unknown): ServingSettings {
  const { workers, queue, models, http, auth, server } = settings;
  return {
    initialWorkers: workers.defaultPerModel,
    // Surface spec 7.4: the configured number, else one for each GPU, else one for each CPU.
    startupWorkers: workers.defaultPerModel || machine.gpuCount || Math.max(1, Math.floor(machine.cpuBudget)),
    responseTimeoutSec: workers.responseTimeoutSec,
    startupTimeoutSec: workers.startupTimeoutSec,
    maxTimeoutSec: workers.maxTimeoutSec,
    jobQueueSize: queue.maxJobs,
    maxQueuedBytes: queue.maxBytes,
    maxWorkersPerModel: workers.maxPerModel,
    unregisterTimeoutSec: workers.stopTimeoutSec,
    retryFailedBatches: queue.retriesFailedBatches,
    isModelApiEnabled: auth.isModelApiEnabled,
    initialWorkerId: workers.firstWorkerId,
    cpuBudget: machine.cpuBudget,
    gpuCount: machine.gpuCount,
    python: workers.python,
    maxResponseBytes: http.maxResponseBytes,
    maxRequestsPerWorker: workers.maxRequests,
    limitMaxImagePixels: workers.limitsImagePixels,
    decodeInputRequest: workers.decodesInput,
    serviceEnvelope: models.serviceEnvelope ?? null,
    defaultHandler: models.defaultHandler,
    sequenceHeaders: workers.sequenceHeaders,
    modelMetrics,
    modelMetricsIntervalMs: settings.metrics.mode === 'prometheus' ? 0 : LOGGED_GAUGE_INTERVAL_MS,
    isDebug: server.isDebug,
    modelsJson: (name, version) => wishesOf(models.defaults.get(name)?.get(version)),
  };
}

export function wishesOf(defaults: ModelDefaults | undefined): CallerWishes {
  if (defaults === undefined) return {};
  const { parallelLevel: _, ...wishes } = defaults;
  return wishes;
}

// From a registered model to what one of its worker processes is told.
import type { ServingPlan } from '../model/index.ts';
import type { AdmittedModel, WorkerSpec } from './ports.ts';
import type { ServingSettings } from './serving-settings.ts';

export interface WorkerSpecInput {
  readonly name: string;
  readonly version: string;
  readonly admitted: AdmittedModel;
  readonly handler: string | undefined;
  readonly runtimeLabel: string;
  readonly plan: ServingPlan;
  readonly workerId: string;
  readonly gpuId: number | null;
  readonly threads: number;
  readonly packagesDir: string | null;
}

/** setTimeout's ceiling, used where there is to be no limit. */
const NO_LIMIT_MS = 2_147_483_647;

export function workerSpec(input: WorkerSpecInput, settings: ServingSettings): WorkerSpec {
  const { name, version, admitted, handler, plan, threads, gpuId } = input;
  return {
    workerId: input.workerId,
    runtime: admitted.runtime,
    interpreter: admitted.runtime === 'python' ? interpreterOf(input.runtimeLabel, settings) : undefined,
    dir: admitted.dir,
    packagesDir: input.packagesDir,
    threads,
    gpuId,
    startupTimeoutMs: limitMs(plan.startupTimeoutSec, settings),
    responseTimeoutMs: limitMs(plan.responseTimeoutSec, settings),
    maxResponseBytes: settings.maxResponseBytes,
    artifactBytes: admitted.bytes,
    askedLimits: admitted.config?.['limits'],
    load: {
      name,
      version,
      dir: admitted.dir,
      packages: input.packagesDir,
      handler: handler ?? null,
      manifest: admitted.manifest,
      config: admitted.config ?? {},
      gpuId,
      batchSize: plan.batchSize,
      envelope: settings.serviceEnvelope,
      limitMaxImagePixels: settings.limitMaxImagePixels,
      decodeInputRequest: settings.decodeInputRequest,
      threads,
      sequenceHeaders: settings.sequenceHeaders,
      continuousBatching: plan.isContinuous,
      asyncCommunication: plan.isAsync,
      metrics: settings.modelMetrics ?? null,
      metricsIntervalMs: settings.modelMetricsIntervalMs,
    },
  };
}

/** Surface spec 8.2: `python` is the configured interpreter, `python3` the one on PATH. */
export const interpreterOf = (runtimeLabel: string, { python }: ServingSettings): string =>
  runtimeLabel === 'python3' ? 'python3' : python;

/** A time limit of the plan in milliseconds; none while debugging (surface spec 7.4). */
export function limitMs(seconds: number, { isDebug }: ServingSettings): number {
  return isDebug ? NO_LIMIT_MS : seconds * 1000;
}

/** CPU threads for each of `workers` processes: the budget shared out, never less than one. */
export function threadsPerWorker(cpuBudget: number, workers: number): number {
  return Math.max(1, Math.floor(cpuBudget / Math.max(1, workers)));
}

// The operator's settings that serving needs; the composition root fills them from the configuration.
import type { CallerWishes, OperatorDefaults } from '../model/index.ts';

export interface ServingSettings extends OperatorDefaults {
  /** Workers for models loaded at start where nothing else says (surface spec 7.4 `default_workers_per_model`). */
  readonly startupWorkers: number;
  readonly unregisterTimeoutSec: number;
  readonly retryFailedBatches: boolean;
  readonly isModelApiEnabled: boolean;
  /** First worker id, counting up. */
  readonly initialWorkerId: number;
  /** CPUs that all workers share (cgroup-aware). */
  readonly cpuBudget: number;
  readonly gpuCount: number;
  /** Interpreter for `runtime: python`. */
  readonly python: string;
  readonly maxResponseBytes: number;
  /** After as many requests a worker is replaced by a new one; 0: never. */
  readonly maxRequestsPerWorker: number;
  readonly limitMaxImagePixels: boolean;
  readonly decodeInputRequest: boolean;
  readonly serviceEnvelope: string | null;
  readonly defaultHandler: string | undefined;
  readonly sequenceHeaders: { readonly id: string; readonly start: string; readonly end: string };
  /** `model_metrics` of metrics.yaml, as JSON for the workers. */
  readonly modelMetrics: unknown;
  /** How often a worker reports a gauge of its own; 0 after every batch, where somebody counts them. */
  readonly modelMetricsIntervalMs: number;
  /** No timeouts (surface spec 7.4 `debug`). */
  readonly isDebug: boolean;
  /** `models` JSON of the configuration (surface spec 7.6). */
  modelsJson(name: string, version: string): CallerWishes;
}

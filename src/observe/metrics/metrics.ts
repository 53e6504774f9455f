// The server's metrics: listens to the announcements, keeps the numbers, answers the metrics listener (surface spec 4).
import { hostname as osHostname } from 'node:os';
import { systemClock, type Clock } from '../../kernel/index.ts';
import type { Announcements, MetricsExposition } from '../../serving/index.ts';
import { hostStats, type HostSample } from '../system/host-stats.ts';
import { gpuUsageText, nvidiaStats } from '../system/nvidia.ts';
import { observeBackEnd } from './back-end.ts';
import { observeFrontEnd } from './front-end.ts';
import { MetricLog } from './logged-metric.ts';
import { MetricSet, unusableMetric, type MetricsMode } from './metric-set.ts';
import type { MetricsConfig } from './metrics-config.ts';
import { SystemMetrics } from './system-metrics.ts';
import { observeTimings, type Timings } from './timings.ts';

export interface MetricsOptions {
  readonly announcements: Announcements;
  readonly mode: MetricsMode;
  readonly config: MetricsConfig;
  /** `model_metrics_auto_detect`. */
  readonly isAutoDetecting: boolean;
  /** `metric_time_interval` in milliseconds; undefined with `disable_system_metrics`. */
  readonly systemIntervalMs: number | undefined;
  /** Where the lines of log mode go: `Logs.metricLine`. */
  readonly writeLine: (stream: 'ts_metrics' | 'model_metrics', message: string) => void;
  readonly hostname?: string;
  readonly clock?: Clock;
  readonly readHost?: () => Promise<HostSample>;
}

export interface Metrics extends MetricsExposition, AsyncDisposable {
  render(names?: readonly string[]): string;
  /** Describe's `gpuUsage` for a worker on this GPU, from the last sample. */
  gpuUsage(gpuId: number): string;
}

export function createMetrics(options: MetricsOptions): Metrics {
  const { announcements, mode, config } = options;
  const clock = options.clock ?? systemClock;
  const hostname = options.hostname ?? (osHostname() || 'Unknown');
  const metrics = new MetricSet(mode);
  const frontEndLog = new MetricLog((line) => options.writeLine('ts_metrics', line), clock);
  const backEndLog = new MetricLog((line) => options.writeLine('model_metrics', line), clock);
  for (const definition of config.frontEnd) {
    if (metrics.add(definition, frontEndLog) !== undefined) continue;
    announcements.notice.publish({ level: 'error', message: unusableMetric(definition.name) });
  }
  const timings = mode === 'prometheus' ? observeTimings(metrics, announcements) : undefined;
  const subscriptions = [
    ...observeFrontEnd(metrics, hostname, announcements),
    ...(timings?.subscriptions ?? []),
    backEnd(options, metrics, backEndLog, hostname, timings),
  ];
  const system = systemMetrics(options, metrics, hostname, clock);
  return {
    render: (names) => metrics.render(names),
    gpuUsage: (gpuId) => gpuUsageText(system?.gpu(gpuId)),
    async [Symbol.asyncDispose]() {
      for (const subscription of subscriptions) subscription.unsubscribe();
      await system?.stop();
      frontEndLog.flush();
      backEndLog.flush();
    },
  };
}

function backEnd(
  { announcements, config, isAutoDetecting }: MetricsOptions,
  metrics: MetricSet,
  log: MetricLog,
  hostname: string,
  timings: Timings | undefined,
): { unsubscribe(): void } {
  const definitions = config.backEnd;
  return observeBackEnd({ metrics, log, definitions, hostname, isAutoDetecting, announcements, timings });
}

function systemMetrics(
  { systemIntervalMs, readHost, announcements }: MetricsOptions,
  metrics: MetricSet,
  hostname: string,
  clock: Clock,
): SystemMetrics | undefined {
  if (systemIntervalMs === undefined) return undefined;
  return new SystemMetrics({
    metrics,
    hostname,
    clock,
    intervalMs: systemIntervalMs,
    readHost: readHost ?? hostStats(),
    readGpus: readHost === undefined ? nvidiaStats() : undefined,
    onFailure: (cause) =>
      announcements.notice.publish({ level: 'warn', message: 'System metrics could not be read', cause }),
  });
}

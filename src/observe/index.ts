// Observe: logs and metrics. Listens to what the other rooms announce; nothing waits for it.
export { createLogs, type LogOptions, type Logs } from './logging/logs.ts';
export type { LogLevel } from './logging/layout.ts';
export { escapeText } from './logging/escape.ts';
export { redactText } from './logging/redact.ts';
export {
  configurationLines,
  tokenBannerLines,
  type ConfigurationFacts,
  type ConfigurationItem,
} from './logging/start-lines.ts';
export { createMetrics, type Metrics, type MetricsOptions } from './metrics/metrics.ts';
export { defaultMetricsConfig, NO_METRICS, parseMetricsConfig, type MetricsConfig } from './metrics/metrics-config.ts';
export { parseMetricsMode, type MetricsMode } from './metrics/metric-set.ts';
export { rssOf } from './system/process-memory.ts';

// Metrics of workers and handlers (surface spec 4.4, 4.6). They arrive over the private channel only; stdout is never parsed.
import type { Announcements, HandlerMetricsEvent } from '../../serving/index.ts';
import type { MetricDefinition, MetricSink } from './definition.ts';
import { parseHandlerSample, type HandlerSample } from './handler-sample.ts';
import type { MetricLog } from './logged-metric.ts';
import { unusableMetric, type MetricSet } from './metric-set.ts';
import type { Timings } from './timings.ts';

export interface BackEndOptions {
  readonly metrics: MetricSet;
  readonly log: MetricLog;
  readonly definitions: readonly MetricDefinition[];
  readonly hostname: string;
  /** `model_metrics_auto_detect`: metrics that metrics.yaml does not name are created as they come. */
  readonly isAutoDetecting: boolean;
  readonly announcements: Announcements;
  readonly timings: Timings | undefined;
}

/** Metrics that handlers may invent, all models together. */
const MAX_DETECTED = 200;
const MAX_SAMPLES_PER_FRAME = 1000;
/** Names a handler may not take: they would pass for the server's own. */
const RESERVED = /^(davy_|ts_inference_|ts_queue_)/;

export function observeBackEnd(options: BackEndOptions): { unsubscribe(): void } {
  const { metrics, log, definitions, announcements } = options;
  const known = new Map<string, MetricSink>();
  for (const definition of definitions) {
    const own = definition.dimensions.filter((dimension) => dimension !== 'Hostname');
    const sink = metrics.add({ ...definition, dimensions: [...own, 'Hostname'] }, log);
    if (sink !== undefined) known.set(definition.name, sink);
    else announcements.notice.publish({ level: 'error', message: unusableMetric(definition.name) });
  }
  const find = sampleFinder(options, known);
  const report = onceEach((message) => announcements.notice.publish({ level: 'warn', message }));
  return announcements.handlerMetrics.subscribe((event) => {
    for (const raw of event.samples.slice(0, MAX_SAMPLES_PER_FRAME)) {
      const sample = parseHandlerSample(raw);
      if (sample === undefined) report(`Dropped a metric of model ${event.model} that is not well-formed`);
      else updateFrom(event, sample);
    }
  });

  function updateFrom(event: HandlerMetricsEvent, sample: HandlerSample): void {
    if (sample.name === 'PredictionTime') options.timings?.handlerTook(event.model, event.version, sample.value);
    const sink = find(sample);
    if (sink === undefined) return;
    const series = sink.at([...sample.dimensions.map((dimension) => valueFor(event, dimension)), options.hostname]);
    if (series === undefined) return report(`Failed to update backend metric ${sample.name}`);
    series.update(sample.value, sample.requestIds);
  }
}

/** A worker speaks for its own model only, whatever it writes. */
const valueFor = (event: HandlerMetricsEvent, [name, value]: readonly [string, string]): string =>
  name === 'ModelName' ? event.model : value;

function sampleFinder(
  { isAutoDetecting, metrics, log }: BackEndOptions,
  known: Map<string, MetricSink>,
): (sample: HandlerSample) => MetricSink | undefined {
  let detected = 0;
  return (sample) => {
    const found = known.get(sample.name);
    if (found !== undefined || !isAutoDetecting || detected >= MAX_DETECTED || RESERVED.test(sample.name)) return found;
    const { name, unit, type } = sample;
    const dimensions = [...sample.dimensions.map(([dimension]) => dimension), 'Hostname'];
    const sink = metrics.add({ name, unit, type, dimensions }, log);
    if (sink === undefined) return undefined;
    detected++;
    known.set(name, sink);
    return sink;
  };
}

/** Each message once, so that a hostile worker cannot fill the log with it; and not endlessly many different ones. */
function onceEach(publish: (message: string) => void): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (said.has(message) || said.size >= 100) return;
    said.add(message);
    publish(message);
  };
}

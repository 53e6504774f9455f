// All metrics of one server by name, each bound to where the mode sends it: the endpoint or a log file (surface spec 4.2).
import { isLabelName, isMetricName, type MetricDefinition, type MetricSink } from './definition.ts';
import { ExposedMetric, type ExposedOptions } from './exposed-metric.ts';
import { LoggedMetric, type MetricLog } from './logged-metric.ts';

export type MetricsMode = 'log' | 'prometheus' | 'legacy';

/** What legacy mode still shows on the endpoint. */
const LEGACY_NAMES: ReadonlySet<string> = new Set([
  'ts_inference_requests_total',
  'ts_inference_latency_microseconds',
  'ts_queue_latency_microseconds',
]);

/** For the operator, whose metrics.yaml names something that will never be seen. */
export const unusableMetric = (name: string): string =>
  `The metric ${name} of metrics.yaml is left out: its name or a dimension is none for Prometheus ([a-zA-Z_][a-zA-Z0-9_]*), comes twice, or is taken`;

export class MetricSet {
  readonly #mode: MetricsMode;
  readonly #metrics = new Map<string, MetricSink>();
  readonly #exposed: ExposedMetric[] = [];

  constructor(mode: MetricsMode) {
    this.#mode = mode;
  }

  get(name: string): MetricSink | undefined {
    return this.#metrics.get(name);
  }

  /** Undefined when the name is taken, or when Prometheus could not show it. */
  add(definition: MetricDefinition, log: MetricLog): MetricSink | undefined {
    if (this.#isTaken(definition.name)) return undefined;
    if (!this.#isExposed(definition.name)) return this.#keep(new LoggedMetric(definition, log));
    return this.expose(this.#mode === 'legacy' ? { ...definition, type: 'counter' } : definition);
  }

  /** A metric that is shown on the endpoint whatever its name. */
  expose(definition: MetricDefinition, options?: ExposedOptions): MetricSink | undefined {
    const { name, dimensions } = definition;
    const isValid =
      isMetricName(name) && dimensions.every(isLabelName) && new Set(dimensions).size === dimensions.length;
    if (!isValid || this.#isTaken(name)) return undefined;
    const metric = new ExposedMetric(definition, options);
    this.#exposed.push(metric);
    return this.#keep(metric);
  }

  render(names?: readonly string[]): string {
    const wanted = names === undefined || names.length === 0 ? undefined : new Set(names);
    return this.#exposed.map((metric) => metric.render(wanted)).join('');
  }

  #isExposed(name: string): boolean {
    return this.#mode === 'prometheus' || (this.#mode === 'legacy' && LEGACY_NAMES.has(name));
  }

  /** A histogram's samples have names of their own, which another metric must not take. */
  #isTaken(name: string): boolean {
    const base = name.replace(/_(bucket|count|sum)$/, '');
    return this.#metrics.has(name) || (base !== name && this.#metrics.get(base)?.definition.type === 'histogram');
  }

  #keep(metric: MetricSink): MetricSink {
    this.#metrics.set(metric.definition.name, metric);
    return metric;
  }
}

/** Whitespace and case do not matter; undefined for an unknown word, which means `log` after an error line. */
export function parseMetricsMode(text: string): MetricsMode | undefined {
  const word = text.trim().toLowerCase();
  return word === 'log' || word === 'prometheus' || word === 'legacy' ? word : undefined;
}

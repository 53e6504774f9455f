// A metric that Prometheus scrapes: its series in memory, and its text (format 0.0.4 as the Java client 0.9.0 writes it, surface spec 4.1).
import { MAX_SERIES_PER_METRIC, seriesKey, type MetricDefinition, type MetricSink, type Series } from './definition.ts';
import { javaDouble } from './java-double.ts';

/** The Java client's defaults, in whatever unit the metric has. */
const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

export interface ExposedOptions {
  readonly buckets?: readonly number[];
  readonly help?: string;
}

interface StoredSeries extends Series {
  /** Appends this series' sample lines. `isWanted` decides by sample name. */
  render(into: string[], isWanted: (sample: string) => boolean): void;
}

export class ExposedMetric implements MetricSink {
  readonly definition: MetricDefinition;
  readonly #series = new Map<string, StoredSeries>();
  readonly #buckets: readonly number[];
  readonly #header: string;

  constructor(definition: MetricDefinition, options: ExposedOptions = {}) {
    const { name, type, unit } = definition;
    this.definition = definition;
    this.#buckets = options.buckets ?? DEFAULT_BUCKETS;
    const help = options.help ?? `Torchserve prometheus ${type} metric with unit: ${unit}`;
    this.#header = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
    // Without labels there is exactly one series, and the Java client shows it from the start.
    if (definition.dimensions.length === 0) this.at([]);
  }

  get seriesCount(): number {
    return this.#series.size;
  }

  at(values: readonly string[]): Series | undefined {
    const key = seriesKey(values);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const { dimensions, type, name } = this.definition;
    if (values.length !== dimensions.length || this.#series.size >= MAX_SERIES_PER_METRIC) return undefined;
    const labels = dimensions.map((dimension, at) => `${dimension}="${escapeLabel(values[at] ?? '')}",`).join('');
    const created = type === 'histogram' ? new Histogram(name, labels, this.#buckets) : scalar(type, name, labels);
    this.#series.set(key, created);
    return created;
  }

  remove(values: readonly string[]): void {
    this.#series.delete(seriesKey(values));
  }

  /** With `names`, nothing at all unless one of this metric's samples has such a name. */
  render(names: ReadonlySet<string> | undefined): string {
    const lines: string[] = [];
    const isWanted = (sample: string): boolean => names === undefined || names.has(sample);
    for (const series of this.#series.values()) series.render(lines, isWanted);
    return names !== undefined && lines.length === 0 ? '' : this.#header + lines.join('');
  }
}

const scalar = (type: 'counter' | 'gauge', name: string, labels: string): StoredSeries =>
  type === 'counter' ? new Counter(name, labels) : new Gauge(name, labels);

class Counter implements StoredSeries {
  readonly #name: string;
  readonly #start: string;
  #value = 0;
  constructor(name: string, labels: string) {
    this.#name = name;
    this.#start = sampleStart(name, labels);
  }
  /** A negative amount is ignored: counters only grow. */
  update(amount: number): void {
    if (amount > 0) this.#value += amount;
  }
  render(into: string[], isWanted: (sample: string) => boolean): void {
    if (isWanted(this.#name)) into.push(`${this.#start} ${javaDouble(this.#value)}\n`);
  }
}

class Gauge implements StoredSeries {
  readonly #name: string;
  readonly #start: string;
  #value = 0;
  constructor(name: string, labels: string) {
    this.#name = name;
    this.#start = sampleStart(name, labels);
  }
  update(value: number): void {
    this.#value = value;
  }
  render(into: string[], isWanted: (sample: string) => boolean): void {
    if (isWanted(this.#name)) into.push(`${this.#start} ${javaDouble(this.#value)}\n`);
  }
}

class Histogram implements StoredSeries {
  readonly #name: string;
  readonly #labels: string;
  readonly #bounds: readonly number[];
  /** Observations in each bucket alone; the last one is +Inf. Summed up when rendered, not when observed. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(name: string, labels: string, bounds: readonly number[]) {
    this.#name = name;
    this.#labels = labels;
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  update(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at++;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#sum += value;
  }

  render(into: string[], isWanted: (sample: string) => boolean): void {
    let total = 0;
    const wantsBuckets = isWanted(`${this.#name}_bucket`);
    this.#counts.forEach((count, at) => {
      total += count;
      const bound = javaDouble(this.#bounds[at] ?? Number.POSITIVE_INFINITY);
      if (wantsBuckets) into.push(`${this.#name}_bucket{${this.#labels}le="${bound}",} ${javaDouble(total)}\n`);
    });
    for (const [suffix, value] of [
      ['_count', total],
      ['_sum', this.#sum],
    ] as const) {
      const sample = this.#name + suffix;
      if (isWanted(sample)) into.push(`${sampleStart(sample, this.#labels)} ${javaDouble(value)}\n`);
    }
  }
}

const sampleStart = (name: string, labels: string): string => (labels === '' ? name : `${name}{${labels}}`);

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"');

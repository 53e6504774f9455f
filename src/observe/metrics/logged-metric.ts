// A metric that goes to a log file (surface spec 4.6). Every update is a line, as in TorchServe, up to a hundred in ten seconds for
// each series; beyond them counts add up (gauges keep the latest) to one line a second: a line per request costs more than serving it.
import { systemClock, type Clock } from '../../kernel/index.ts';
import { escapeText } from '../logging/escape.ts';
import { MAX_SERIES_PER_METRIC, seriesKey, type MetricDefinition, type MetricSink, type Series } from './definition.ts';
import { javaDouble } from './java-double.ts';

/** How many updates of one series are a line of their own: a test's, a cron job's, a quiet server's. Not a flood's. */
const MAX_LINES = 100;
const MAX_LINES_WINDOW_MS = 10_000;
/** How long updates are gathered into one line after that. */
const GATHER_MS = 1000;
/** Ids of a batch fit; a second of traffic does not need to. */
const MAX_REQUEST_IDS_CHARS = 2048;

/** Writes the lines of one file; all metrics of that file share its clock and its timer. */
export class MetricLog {
  readonly #write: (message: string) => void;
  readonly clock: Clock;
  #waiting: LoggedSeries[] = [];

  constructor(write: (message: string) => void, clock: Clock = systemClock) {
    this.#write = write;
    this.clock = clock;
  }

  line(series: LoggedSeries): void {
    this.#write(series.takeLine(Math.floor(this.clock.wallTime() / 1000)));
  }

  /** Writes this series' line when enough was gathered. */
  later(series: LoggedSeries): void {
    if (this.#waiting.length === 0) this.clock.after(GATHER_MS, () => this.flush());
    this.#waiting.push(series);
  }

  flush(): void {
    const due = this.#waiting;
    this.#waiting = [];
    for (const series of due) this.line(series);
  }
}

export class LoggedMetric implements MetricSink {
  readonly definition: MetricDefinition;
  readonly #log: MetricLog;
  readonly #series = new Map<string, LoggedSeries>();

  constructor(definition: MetricDefinition, log: MetricLog) {
    this.definition = definition;
    this.#log = log;
  }

  at(values: readonly string[]): Series | undefined {
    const key = seriesKey(values);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const isFull = this.#series.size >= MAX_SERIES_PER_METRIC;
    if (isFull || values.length !== this.definition.dimensions.length) return undefined;
    const created = new LoggedSeries(this.definition, values, this.#log);
    this.#series.set(key, created);
    return created;
  }

  remove(values: readonly string[]): void {
    this.#series.delete(seriesKey(values));
  }
}

class LoggedSeries implements Series {
  readonly #isSum: boolean;
  readonly #start: string;
  readonly #end: string;
  readonly #log: MetricLog;
  #value = 0;
  #requestIds = '';
  #isWaiting = false;
  #windowStart = Number.NEGATIVE_INFINITY;
  #linesInWindow = 0;

  /** The last dimension is the host name and has its own place in the line. */
  constructor({ name, unit, type, dimensions }: MetricDefinition, values: readonly string[], log: MetricLog) {
    const pairs = dimensions.slice(0, -1).map((dimension, at) => `${clean(dimension)}:${clean(values[at] ?? '')}`);
    this.#isSum = type === 'counter';
    this.#start = `${clean(name)}.${clean(unit)}:`;
    this.#end = `|#${pairs.join(',')}|#hostname:${clean(values.at(-1) ?? '')}`;
    this.#log = log;
  }

  update(value: number, requestIds?: string): void {
    if (this.#isSum && value < 0) return;
    this.#value = this.#isSum ? this.#value + value : value;
    if (requestIds !== undefined) this.#addRequestIds(requestIds);
    if (this.#isWaiting) return;
    if (this.#mayWriteNow()) {
      this.#log.line(this);
    } else {
      this.#isWaiting = true;
      this.#log.later(this);
    }
  }

  #mayWriteNow(): boolean {
    const now = this.#log.clock.now();
    if (now - this.#windowStart >= MAX_LINES_WINDOW_MS) {
      this.#windowStart = now;
      this.#linesInWindow = 0;
    }
    this.#linesInWindow += 1;
    return this.#linesInWindow <= MAX_LINES;
  }

  takeLine(epochSeconds: number): string {
    const ids = this.#requestIds === '' ? '' : `requestID:${this.#requestIds},`;
    const line = `${this.#start}${javaDouble(this.#value)}${this.#end},${ids}timestamp:${epochSeconds}`;
    this.#value = 0;
    this.#requestIds = '';
    this.#isWaiting = false;
    return line;
  }

  #addRequestIds(ids: string): void {
    if (this.#requestIds.length + ids.length > MAX_REQUEST_IDS_CHARS) return;
    this.#requestIds += this.#requestIds === '' ? ids : `,${ids}`;
  }
}

/** `|`, `#` and `,` have meaning in the line; a label value must not forge its neighbours. */
const clean = (text: string): string => escapeText(text, 256).replaceAll(/[|#,]/g, '_');

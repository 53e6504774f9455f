// The five files and the console, or those of the operator's log configuration: where a record goes, and in which layout.
import { join } from 'node:path';
import pino from 'pino';
import type { LogFile, LogLayout, LogPlan, LogStream } from '../../config/index.ts';
import type { Clock } from '../../kernel/index.ts';
import { descriptorTarget } from './descriptor.ts';
import { bareLine, fullLine, hasFullLine, isoTimes, type LogRecord } from './layout.ts';
import { LineWriter, type LineTarget } from './line-writer.ts';
import { patternLine } from './pattern-line.ts';
import { openRollingFile } from './rolling-file.ts';

export interface StreamOptions {
  readonly format: 'text' | 'json';
  /** `LOG_LOCATION`. Undefined: no files. */
  readonly logDir: string | undefined;
  /** `METRICS_LOCATION`. */
  readonly metricsDir: string | undefined;
  /** Descriptor of the console; undefined for none. */
  readonly consoleFd: number | undefined;
  readonly clock: Clock;
  /** Where the operator's own log configuration sends lines, in place of the five files and the console. */
  readonly routes?: LogPlan['routes'];
}

const FILE_NAMES: Readonly<Record<LogStream, string>> = {
  access: 'access_log.log',
  server: 'ts_log.log',
  model: 'model_log.log',
  ts_metrics: 'ts_metrics.log',
  model_metrics: 'model_metrics.log',
};
const STREAMS = Object.keys(FILE_NAMES) as readonly LogStream[];

export interface Streams {
  emit(record: LogRecord): void;
  flush(): Promise<void>;
  flushSync(): void;
  close(): Promise<void>;
  readonly droppedLines: number;
}

type Render = (record: LogRecord, epochMs: number) => string;

interface Sink {
  readonly writer: LineWriter;
  readonly render: Render;
}

/** Opens everything now, so that an unwritable directory stops the start and not the tenth request. */
export async function openStreams(options: StreamOptions): Promise<Streams> {
  const { clock } = options;
  await using opened = new AsyncDisposableStack();
  const writers = opened.adopt(new Writers(options), (started) => started.close());
  const sinks =
    options.routes === undefined ? await usualSinks(options, writers) : await plannedSinks(options, writers);
  opened.move();
  return {
    emit(record) {
      const now = clock.wallTime();
      let line = '';
      let rendered: Render | undefined;
      for (const { writer, render } of sinks[record.stream]) {
        // File and console mostly want the same line.
        if (render !== rendered) line = render(record, now);
        rendered = render;
        writer.write(line);
      }
    },
    flush: async () => void (await Promise.all(writers.all.map((writer) => writer.flush()))),
    flushSync: () => writers.all.forEach((writer) => writer.flushSync()),
    close: () => writers.close(),
    get droppedLines() {
      return writers.all.reduce((sum, writer) => sum + writer.droppedLines, 0);
    },
  };
}

type Sinks = Readonly<Record<LogStream, readonly Sink[]>>;

const forEachStream = async (sinksOf: (stream: LogStream) => Promise<readonly Sink[]>): Promise<Sinks> => {
  const found: Partial<Record<LogStream, readonly Sink[]>> = {};
  for (const stream of STREAMS) found[stream] = await sinksOf(stream);
  return found as Sinks;
};

/** TorchServe's five files and the console, in its patterns (surface spec 11), or in JSON. */
function usualSinks({ format, logDir, metricsDir }: StreamOptions, writers: Writers): Promise<Sinks> {
  const times = isoTimes();
  const full: Render = (record, now) => fullLine(times(now), record);
  const bare: Render = (record, now) => bareLine(times(now), record);
  const json = jsonRender();
  return forEachStream(async (stream) => {
    const isJson = format === 'json';
    const directory = stream.endsWith('_metrics') ? metricsDir : logDir;
    const sinks: Sink[] = [];
    if (directory !== undefined) {
      const writer = await writers.file({ path: join(directory, FILE_NAMES[stream]) });
      sinks.push({ writer, render: isJson ? json : hasFullLine(stream) ? full : bare });
    }
    const { console } = writers;
    if (console !== undefined) sinks.push({ writer: console, render: isJson ? json : full });
    return sinks;
  });
}

/** The files and the console of the operator's own log configuration. */
function plannedSinks({ format, routes }: StreamOptions, writers: Writers): Promise<Sinks> {
  const json = jsonRender();
  const renders = new Map<LogLayout, Render>();
  const render = (layout: LogLayout): Render => {
    if (format === 'json' || layout.kind === 'json') return json;
    const known = renders.get(layout) ?? patternLine(layout.pattern);
    renders.set(layout, known);
    return known;
  };
  return forEachStream(async (stream) => {
    const route = routes?.[stream];
    const sinks: Sink[] = [];
    for (const file of route?.files ?? []) {
      sinks.push({ writer: await writers.file(file), render: render(file.layout) });
    }
    const { console } = writers;
    if (route?.console !== undefined && console !== undefined) {
      sinks.push({ writer: console, render: render(route.console) });
    }
    return sinks;
  });
}

/** One writer for each file, however many streams go there. */
class Writers {
  readonly #options: StreamOptions;
  readonly #files = new Map<string, LineWriter>();
  readonly console: LineWriter | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.console = options.consoleFd === undefined ? undefined : this.#writer(descriptorTarget(options.consoleFd));
  }

  get all(): readonly LineWriter[] {
    return [...this.#files.values(), ...(this.console === undefined ? [] : [this.console])];
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((writer) => writer.close()));
  }

  async file({ path, maxBytes, keep }: Pick<LogFile, 'path'> & Partial<LogFile>): Promise<LineWriter> {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const { clock } = this.#options;
    const limits = { ...(maxBytes !== undefined && { maxBytes }), ...(keep !== undefined && { keep }) };
    const writer = this.#writer(await openRollingFile({ path, clock, ...limits }));
    this.#files.set(path, writer);
    return writer;
  }

  #writer(target: LineTarget): LineWriter {
    return new LineWriter(target, this.#options.clock, lossReport(this.#options));
  }
}

/** A record as one JSON object. */
function jsonRender(): Render {
  let line = '';
  let now = 0;
  const options: pino.LoggerOptions = {
    base: null,
    level: 'debug',
    messageKey: 'message',
    timestamp: () => `,"time":"${new Date(now).toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
  };
  const logger = pino(options, { write: (text) => void (line = text) });
  return ({ stream, level, thread, logger: name, message }, epochMs) => {
    now = epochMs;
    logger[level]({ stream, logger: name, thread }, message);
    return line;
  };
}

function lossReport({ format, clock }: StreamOptions): (lines: number) => string {
  const times = isoTimes();
  return (lines) => {
    const message = `${lines} log lines were dropped: writing could not keep up`;
    if (format === 'text') return `${times(clock.wallTime())} - ${message}\n`;
    return `${JSON.stringify({ level: 'warn', time: new Date(clock.wallTime()).toISOString(), stream: 'server', message })}\n`;
  };
}

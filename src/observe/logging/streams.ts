// The five files and the console: where a record goes, and in which layout.
import { join } from 'node:path';
import pino from 'pino';
import type { Clock } from '../../kernel/index.ts';
import { descriptorTarget } from './descriptor.ts';
import { bareLine, fullLine, hasFullLine, isoTimes, type LogRecord, type LogStream } from './layout.ts';
import { LineWriter, type LineTarget } from './line-writer.ts';
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

/** Opens everything now, so that an unwritable directory stops the start and not the tenth request. */
export async function openStreams(options: StreamOptions): Promise<Streams> {
  const files = new Map<LogStream, LineWriter>();
  const writerFor = (target: LineTarget): LineWriter => new LineWriter(target, options.clock, lossReport(options));
  for (const stream of STREAMS) {
    const directory = stream.endsWith('_metrics') ? options.metricsDir : options.logDir;
    if (directory === undefined) continue;
    const target = await openRollingFile({ path: join(directory, FILE_NAMES[stream]), clock: options.clock });
    files.set(stream, writerFor(target));
  }
  const console = options.consoleFd === undefined ? undefined : writerFor(descriptorTarget(options.consoleFd));
  const writers = [...files.values(), ...(console === undefined ? [] : [console])];
  return {
    emit:
      options.format === 'json'
        ? jsonEmitter(files, console, options.clock)
        : textEmitter(files, console, options.clock),
    flush: async () => void (await Promise.all(writers.map((writer) => writer.flush()))),
    flushSync: () => writers.forEach((writer) => writer.flushSync()),
    close: async () => void (await Promise.all(writers.map((writer) => writer.close()))),
    get droppedLines() {
      return writers.reduce((sum, writer) => sum + writer.droppedLines, 0);
    },
  };
}

type Files = ReadonlyMap<LogStream, LineWriter>;

function textEmitter(files: Files, console: LineWriter | undefined, clock: Clock): (record: LogRecord) => void {
  const format = isoTimes();
  return (record) => {
    const time = format(clock.wallTime());
    const file = files.get(record.stream);
    const full = console !== undefined || hasFullLine(record.stream) ? fullLine(time, record) : '';
    file?.write(hasFullLine(record.stream) ? full : bareLine(time, record));
    console?.write(full);
  };
}

/** The same files, every line a JSON object. */
function jsonEmitter(files: Files, console: LineWriter | undefined, clock: Clock): (record: LogRecord) => void {
  const loggers = new Map(STREAMS.map((stream) => [stream, jsonLogger(files.get(stream), console, clock)]));
  return ({ stream, level, thread, logger, message }) =>
    loggers.get(stream)?.[level]({ stream, logger, thread }, message);
}

function jsonLogger(file: LineWriter | undefined, console: LineWriter | undefined, clock: Clock): pino.Logger {
  const destination = {
    write(line: string): void {
      file?.write(line);
      console?.write(line);
    },
  };
  return pino({ base: null, level: 'debug', ...jsonShape(clock) }, destination);
}

const jsonShape = (clock: Clock): pino.LoggerOptions => ({
  messageKey: 'message',
  timestamp: () => `,"time":"${new Date(clock.wallTime()).toISOString()}"`,
  formatters: { level: (label) => ({ level: label }) },
});

function lossReport({ format, clock }: StreamOptions): (lines: number) => string {
  const times = isoTimes();
  return (lines) => {
    const message = `${lines} log lines were dropped: writing could not keep up`;
    if (format === 'text') return `${times(clock.wallTime())} - ${message}\n`;
    return `${JSON.stringify({ level: 'warn', time: new Date(clock.wallTime()).toISOString(), stream: 'server', message })}\n`;
  };
}

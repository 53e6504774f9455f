// The server's logs: listens to the announcements, writes TorchServe's files and console (surface spec 11) or JSON lines.
import type { LogPlan, LogStream } from '../../config/index.ts';
import { systemClock, type Clock } from '../../kernel/index.ts';
import type { Announcements, WorkerEvent } from '../../serving/index.ts';
import { escapeText, MAX_LINE_CHARS } from './escape.ts';
import { accessText, auditText, modelText, noticeText } from './event-text.ts';
import type { LogLevel, LogRecord } from './layout.ts';
import { OutputLimit } from './output-limit.ts';
import { redactText } from './redact.ts';
import { openStreams, type Streams } from './streams.ts';
import { isRemoval, WorkerLines, workerName } from './worker-lines.ts';

export interface LogOptions {
  readonly announcements: Announcements;
  readonly format: 'text' | 'json';
  /** Lines below are not written. Default `info`. */
  readonly level?: LogLevel;
  /** Directory of access_log.log, ts_log.log and model_log.log; undefined writes no files. */
  readonly logDir: string | undefined;
  /** Directory of ts_metrics.log and model_metrics.log. */
  readonly metricsDir: string | undefined;
  /** 1 for stdout; undefined for no console. */
  readonly consoleFd: number | undefined;
  readonly clock?: Clock;
  /** The operator's own log configuration (`log_config`). */
  readonly plan?: LogPlan | undefined;
  /** The version that TELEMETRY_METRICS lines name, one for each worker that fails; undefined writes none. */
  readonly telemetryVersion?: string | undefined;
}

export interface Logs extends AsyncDisposable {
  /** One line of the server's own, for what is not an announcement (configuration dump, banner). */
  say(level: LogLevel, message: string): void;
  /** One line of a metrics file, made by the metrics of this room. */
  metricLine(stream: 'ts_metrics' | 'model_metrics', message: string): void;
  flush(): Promise<void>;
  /** For a process that is about to end without its event loop. */
  flushSync(): void;
  /** Lines lost in total because a disk or a console could not keep up. */
  readonly droppedLines: number;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const SERVER_LOGGER = 'org.pytorch.serve.ModelServer';

/** Opens all five files, or throws the error of the one that cannot be opened. */
export async function createLogs(options: LogOptions): Promise<Logs> {
  const clock = options.clock ?? systemClock;
  const streams = await openStreams({ ...options, clock, routes: options.plan?.routes });
  const rankOf = thresholds(options);
  const put = (stream: LogStream, level: LogLevel, thread: string, logger: string, message: string): void => {
    if (RANK[level] >= rankOf(logger)) streams.emit({ stream, level, thread, logger, message } satisfies LogRecord);
  };
  const workerLines = new WorkerLines(clock, options.telemetryVersion);
  const subscriptions = subscribe(options.announcements, clock, workerLines, put);
  return {
    say: (level, message) => put('server', level, 'main', SERVER_LOGGER, clean(message)),
    metricLine: (stream, message) => put(stream, 'info', 'main', stream.toUpperCase(), message),
    ...controls(streams),
    get droppedLines() {
      return streams.droppedLines;
    },
    async [Symbol.asyncDispose]() {
      for (const subscription of subscriptions) subscription.unsubscribe();
      await streams.close();
    },
  };
}

/** The lowest rank that is written, by logger; their names are few. */
function thresholds({ level, plan }: LogOptions): (logger: string) => number {
  const lowest = RANK[level ?? 'info'];
  if (plan === undefined) return () => lowest;
  const known = new Map<string, number>();
  return (logger) => {
    const found = known.get(logger);
    if (found !== undefined) return found;
    const threshold = plan.levelOf(logger);
    const rank = threshold === 'off' ? Number.POSITIVE_INFINITY : RANK[threshold];
    known.set(logger, rank);
    return rank;
  };
}

const controls = (streams: Streams): Pick<Logs, 'flush' | 'flushSync'> => ({
  flush: () => streams.flush(),
  flushSync: () => streams.flushSync(),
});

type Put = (stream: LogStream, level: LogLevel, thread: string, logger: string, message: string) => void;

function subscribe(
  from: Announcements,
  clock: Clock,
  workerLines: WorkerLines,
  put: Put,
): readonly { unsubscribe(): void }[] {
  return [
    from.access.subscribe((event) => put('access', 'info', 'main', 'ACCESS_LOG', accessText(event))),
    from.worker.subscribe(workerListener(clock, workerLines, put)),
    from.model.subscribe((event) => {
      const level = event.change === 'refused' ? 'warn' : 'info';
      put('server', level, 'main', 'org.pytorch.serve.wlm.ModelManager', clean(modelText(event)));
    }),
    from.audit.subscribe((event) => {
      put('server', event.outcome === 'refused' ? 'warn' : 'info', 'main', 'AUDIT', clean(auditText(event)));
    }),
    from.notice.subscribe((event) => put('server', event.level, 'main', SERVER_LOGGER, clean(noticeText(event)))),
  ];
}

function workerListener(clock: Clock, lines: WorkerLines, put: Put): (event: WorkerEvent) => void {
  const limits = new Map<string, OutputLimit>();
  return (event) => {
    const name = escapeText(workerName(event), 256);
    if (event.event.kind === 'output') {
      const limit = limits.get(name) ?? new OutputLimit(clock);
      limits.set(name, limit);
      return putOutput(event.event, name, limit, put);
    }
    if (event.event.kind === 'died') reportDropped(name, limits.get(name), put);
    // A worker that is retried keeps its name and its limit: dying must not refill it.
    if (isRemoval(event)) limits.delete(name);
    for (const line of lines.linesFor(event)) put('server', line.level, name, line.logger, clean(line.message));
  };
}

function putOutput(
  output: { stream: 'stdout' | 'stderr'; line: string },
  name: string,
  limit: OutputLimit,
  put: Put,
): void {
  if (!limit.allows(output.line)) return;
  reportDropped(name, limit, put);
  put(
    'model',
    output.stream === 'stdout' ? 'info' : 'warn',
    `${name}-${output.stream}`,
    'MODEL_LOG',
    clean(output.line),
  );
}

function reportDropped(name: string, limit: OutputLimit | undefined, put: Put): void {
  const dropped = limit?.takeDropped() ?? 0;
  if (dropped > 0)
    put(
      'model',
      'warn',
      name,
      'MODEL_LOG',
      `${dropped} lines of this worker's output were dropped: more than the log accepts per second`,
    );
}

/** Cut, so that patterns never see a megabyte; then redacted, because escaping could split what a pattern recognises. */
const clean = (message: string): string => escapeText(redactText(message.slice(0, 2 * MAX_LINE_CHARS)));

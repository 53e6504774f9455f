// What Davy takes from a log4j2 XML file of TorchServe's (surface spec 11): levels, files, rolling and patterns. What it does not take
// is listed, so that the operator reads it at start and not in a missing log.
import {
  readDeclarations,
  type Appender,
  type LogFile,
  type LogLayout,
  type LogPlanContext,
  type LogThreshold,
  type Logger,
} from './declarations.ts';
import { parseXml } from './xml.ts';

/** One stream for each of TorchServe's five files, with the logger that decides over it. */
const LOG_STREAMS = {
  access: 'ACCESS_LOG',
  server: 'org.pytorch.serve',
  model: 'MODEL_LOG',
  ts_metrics: 'TS_METRICS',
  model_metrics: 'MODEL_METRICS',
} as const;

export type LogStream = keyof typeof LOG_STREAMS;

export interface LogRoute {
  readonly files: readonly LogFile[];
  /** Undefined: not on the console. */
  readonly console: LogLayout | undefined;
}

export interface LogPlan {
  /** The lowest level that is written, for a logger's name. */
  levelOf(logger: string): LogThreshold;
  /** Undefined: the file declares no appender, so lines go where they always do. */
  readonly routes: Readonly<Record<LogStream, LogRoute>> | undefined;
  /** What has no effect here: `line 12: <ThresholdFilter>`. */
  readonly ignored: readonly string[];
}

/** Throws `invalid_configuration` for what is no XML, or grows without end. */
export function parseLogPlan(text: string, context: LogPlanContext): LogPlan {
  const { appenders, loggers, ignored } = readDeclarations(parseXml(text), context);
  return {
    levelOf: (name) =>
      loggers.find(({ prefix, level }) => level !== undefined && covers(prefix, name))?.level ?? 'info',
    routes: appenders.size === 0 ? undefined : routes(appenders, loggers),
    ignored,
  };
}

/** A logger speaks for its own name and for those below it; the root, `''`, for all. */
const covers = (prefix: string, name: string): boolean =>
  prefix === '' || name === prefix || name.startsWith(`${prefix}.`);

function routes(
  appenders: ReadonlyMap<string, Appender>,
  loggers: readonly Logger[],
): Readonly<Record<LogStream, LogRoute>> {
  const route = (stream: LogStream): LogRoute => {
    const names = new Set<string>();
    for (const logger of loggers.filter(({ prefix }) => covers(prefix, LOG_STREAMS[stream]))) {
      for (const name of logger.appenders) names.add(name);
      if (!logger.isAdditive) break;
    }
    const found = [...names].flatMap((name) => appenders.get(name) ?? []);
    return {
      files: found.flatMap((appender) => (appender.kind === 'file' ? [appender.file] : [])),
      console: found.find((appender) => appender.kind === 'console')?.layout,
    };
  };
  return {
    access: route('access'),
    server: route('server'),
    model: route('model'),
    ts_metrics: route('ts_metrics'),
    model_metrics: route('model_metrics'),
  };
}

// TorchServe's line patterns (surface spec 11): what each file and the console show of one record.
import type { LogStream } from '../../config/index.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogRecord {
  readonly stream: LogStream;
  readonly level: LogLevel;
  readonly thread: string;
  /** `%c`: TorchServe's logger names, because filters and greps name them. */
  readonly logger: string;
  /** Escaped and redacted: one line. */
  readonly message: string;
}

/** `%-5p`. */
export const LEVEL_NAMES: Readonly<Record<LogLevel, string>> = {
  debug: 'DEBUG',
  info: 'INFO ',
  warn: 'WARN ',
  error: 'ERROR',
};

/** `%d{ISO8601} [%-5p] %t %c - %m%n`: the console, ts_log.log and model_log.log. */
export function fullLine(time: string, record: LogRecord): string {
  return `${time} [${LEVEL_NAMES[record.level]}] ${record.thread} ${record.logger} - ${record.message}\n`;
}

/** `%d{ISO8601} - %m%n`: access_log.log and the two metrics files. */
export function bareLine(time: string, record: LogRecord): string {
  return `${time} - ${record.message}\n`;
}

export const hasFullLine = (stream: LogStream): boolean => stream === 'server' || stream === 'model';

/** Formats epoch milliseconds as local `2024-05-30T21:46:03,625`; remembers the second, since lines come in crowds. */
export function isoTimes(): (epochMs: number) => string {
  let second = Number.NaN;
  let prefix = '';
  return (epochMs) => {
    const whole = Math.floor(epochMs / 1000);
    if (whole !== second) {
      second = whole;
      prefix = isoSeconds(new Date(whole * 1000));
    }
    return `${prefix},${pad(Math.floor(epochMs - whole * 1000), 3)}`;
  };
}

function isoSeconds(date: Date): string {
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day}T${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');

// One line by a log4j2 pattern, for a log configuration of the operator's own (surface spec 11).
import type { Pattern, PatternPart } from '../../config/index.ts';
import { LEVEL_NAMES, type LogRecord } from './layout.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The line of a record, with its end. */
export function patternLine({ parts }: Pattern): (record: LogRecord, epochMs: number) => string {
  return (record, epochMs) => `${parts.map((part) => partText(part, record, epochMs)).join('')}\n`;
}

function partText(part: PatternPart, record: LogRecord, epochMs: number): string {
  if (part.kind === 'text') return part.text;
  const text = fieldText(part.field, part.option, record, epochMs);
  // log4j2 cuts from the front.
  const cut = text.length > part.max ? text.slice(-part.max) : text;
  return part.isLeft ? cut.padEnd(part.min) : cut.padStart(part.min);
}

type Field = Extract<PatternPart, { kind: 'field' }>;

function fieldText(field: Field['field'], option: string, record: LogRecord, epochMs: number): string {
  switch (field) {
    case 'time':
      return timeText(option, epochMs);
    case 'level':
      return LEVEL_NAMES[record.level].trimEnd();
    case 'thread':
      return record.thread;
    case 'logger':
      return lastComponents(record.logger, option);
    case 'message':
      return record.message;
  }
}

/** `%c{1}` of `org.pytorch.serve.ModelServer` is `ModelServer`. */
function lastComponents(logger: string, option: string): string {
  const count = /^\d{1,2}$/.test(option) ? Number(option) : 0;
  return count === 0 ? logger : logger.split('.').slice(-count).join('.');
}

const LETTERS = /'([^']*)'|yyyy|yy|MMM|MM|dd|HH|mm|ss|SSS/g;

/** Local time in the letters of Java's SimpleDateFormat, as far as logs use them. */
function timeText(format: string, epochMs: number): string {
  const date = new Date(epochMs);
  const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
  const values: Readonly<Record<string, string>> = {
    yyyy: pad(date.getFullYear(), 4),
    yy: pad(date.getFullYear() % 100),
    MMM: MONTHS[date.getMonth()] ?? '',
    MM: pad(date.getMonth() + 1),
    dd: pad(date.getDate()),
    HH: pad(date.getHours()),
    mm: pad(date.getMinutes()),
    ss: pad(date.getSeconds()),
    SSS: pad(date.getMilliseconds(), 3),
  };
  return format.replaceAll(LETTERS, (letters, quoted: string | undefined) => quoted ?? values[letters] ?? '');
}

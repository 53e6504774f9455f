// One line by a log4j2 pattern, for a log configuration of the operator's own (surface spec 11).
import { TIME_TOKEN, type Pattern, type PatternPart, type TimeField } from '../../config/index.ts';
import { LEVEL_NAMES, type LogRecord } from './layout.ts';

type Text = (record: LogRecord, epochMs: number) => string;
type Field = Extract<PatternPart, { kind: 'field' }>;

/** The line of a record, with its end. */
export function patternLine({ parts }: Pattern): Text {
  const texts = parts.map((part) => (part.kind === 'text' ? () => part.text : fitted(part)));
  return (record, epochMs) => {
    let line = '';
    for (const text of texts) line += text(record, epochMs);
    return `${line}\n`;
  };
}

function fitted({ field, option, min, max, isLeft, keepsStart }: Field): Text {
  const text = fieldText(field, option);
  return (record, epochMs) => {
    const whole = text(record, epochMs);
    const start = keepsStart ? 0 : Math.max(0, whole.length - max);
    const cut = whole.length > max ? whole.slice(start, start + max) : whole;
    return isLeft ? cut.padEnd(min) : cut.padStart(min);
  };
}

function fieldText(field: Field['field'], option: string): Text {
  switch (field) {
    case 'time':
      return timeText(option);
    case 'level':
      return ({ level }) => LEVEL_NAMES[level].trimEnd();
    case 'thread':
      return ({ thread }) => thread;
    case 'logger':
      return ({ logger }) => lastComponents(logger, Number(option));
    case 'message':
      return ({ message }) => message;
  }
}

/** `%c{1}` of `org.pytorch.serve.ModelServer` is `ModelServer`; 0 stands for all of it. */
const lastComponents = (logger: string, count: number): string =>
  count === 0 ? logger : logger.split('.').slice(-count).join('.');

/** Local time in the letters of Java's SimpleDateFormat; remembers the second, since lines come in crowds. */
function timeText(format: string): Text {
  let second = Number.NaN;
  let aroundMillis: readonly string[] = [];
  return (_, epochMs) => {
    const whole = Math.floor(epochMs / 1000);
    if (whole !== second) {
      second = whole;
      aroundMillis = formatSecond(format, new Date(whole * 1000)).split(MILLIS);
    }
    return aroundMillis.join(pad(Math.floor(epochMs) - whole * 1000, 3));
  };
}

/** Stands for the milliseconds: no text of a pattern holds one. */
const MILLIS = '\0';
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function formatSecond(format: string, date: Date): string {
  const values: Readonly<Record<TimeField, string>> = {
    yyyy: pad(date.getFullYear(), 4),
    yy: pad(date.getFullYear() % 100),
    MMM: MONTHS[date.getMonth()] ?? '',
    MM: pad(date.getMonth() + 1),
    dd: pad(date.getDate()),
    HH: pad(date.getHours()),
    mm: pad(date.getMinutes()),
    ss: pad(date.getSeconds()),
    SSS: MILLIS,
  };
  return format.replaceAll(TIME_TOKEN, (_, quoted?: string, field?: string) =>
    field === undefined ? (quoted ?? "'") : values[field as TimeField],
  );
}

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');

// A log4j2 pattern such as `%d{ISO8601} [%-5p] %t %c - %m%n`, taken apart.

export type PatternField = 'time' | 'level' | 'thread' | 'logger' | 'message';

export type PatternPart =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'field';
      readonly field: PatternField;
      /** Of times: `yyyy-MM-dd'T'HH:mm:ss,SSS`. Of loggers: how many of the last components. */
      readonly option: string;
      /** Padded to so many characters, on the right where `isLeft`. */
      readonly min: number;
      readonly isLeft: boolean;
      /** Cut to so many: the last ones, or the first where `keepsStart`. */
      readonly max: number;
      readonly keepsStart: boolean;
    };

export interface Pattern {
  /** Without the line end, which every line has anyway. */
  readonly parts: readonly PatternPart[];
  /** Conversions that have no meaning here, such as `%X{id}`, and print nothing; and those of which an option has none. */
  readonly unknown: readonly string[];
}

const FIELDS: Readonly<Record<string, PatternField>> = {
  d: 'time',
  date: 'time',
  p: 'level',
  level: 'level',
  t: 'thread',
  tn: 'thread',
  thread: 'thread',
  threadName: 'thread',
  c: 'logger',
  logger: 'logger',
  m: 'message',
  msg: 'message',
  message: 'message',
};

const CONVERSION = /%(%|(-?)(\d{0,3})(?:\.(-?)(\d{1,3}))?([A-Za-z]+)((?:\{[^{}]*\})*))/g;
const DEFAULT_TIME = 'yyyy-MM-dd HH:mm:ss,SSS';
const TIMES: Readonly<Record<string, string>> = {
  '': DEFAULT_TIME,
  DEFAULT: DEFAULT_TIME,
  DEFAULT_PERIOD: 'yyyy-MM-dd HH:mm:ss.SSS',
  ISO8601: "yyyy-MM-dd'T'HH:mm:ss,SSS",
  ISO8601_PERIOD: "yyyy-MM-dd'T'HH:mm:ss.SSS",
  ISO8601_BASIC: "yyyyMMdd'T'HHmmss,SSS",
  ABSOLUTE: 'HH:mm:ss,SSS',
  ABSOLUTE_PERIOD: 'HH:mm:ss.SSS',
  COMPACT: 'yyyyMMddHHmmssSSS',
  DATE: 'dd MMM yyyy HH:mm:ss,SSS',
};

/** What a format of times may hold beside signs and quoted text. */
export const TIME_FIELDS = ['yyyy', 'yy', 'MMM', 'MM', 'dd', 'HH', 'mm', 'ss', 'SSS'] as const;
export type TimeField = (typeof TIME_FIELDS)[number];
/** `''` is a quote; quoted text, in group 1; else a run of one letter, in group 2. */
export const TIME_TOKEN = /''|'([^']*)'|(([A-Za-z])\3*)/g;

export function parsePattern(pattern: string): Pattern {
  const parts: PatternPart[] = [];
  const unknown: string[] = [];
  const text = (piece: string): void => void (piece !== '' && parts.push({ kind: 'text', text: piece }));
  let last = 0;
  for (const match of pattern.matchAll(CONVERSION)) {
    const [whole, body, minus, min, maxMinus, max, letters = '', options = ''] = match;
    text(pattern.slice(last, match.index));
    last = match.index + whole.length;
    if (body === '%') text('%');
    if (body === '%' || letters === 'n') continue;
    const word = longestKnown(letters);
    const field = FIELDS[word];
    if (field === undefined) {
      unknown.push(whole);
      continue;
    }
    const isWhole = word === letters;
    const [option = '', rest] = isWhole ? Array.from(options.matchAll(/\{([^{}]*)\}/g), ([, inside]) => inside) : [];
    const understood = readOption(field, option);
    if (understood === undefined || (field === 'time' && rest !== undefined)) unknown.push(whole);
    parts.push({
      kind: 'field',
      field,
      option: understood ?? (field === 'time' ? DEFAULT_TIME : ''),
      min: Number(min || 0),
      isLeft: minus === '-',
      max: max === undefined ? Number.POSITIVE_INFINITY : Number(max),
      keepsStart: maxMinus === '-',
    });
    // `%mfoo` is the message and the text foo; a line end inside it is none.
    if (!isWhole) text(letters.slice(word.length) + options);
  }
  text(pattern.slice(last));
  return { parts: withoutLineEnd(parts), unknown };
}

/** Undefined: none that means something here. Of messages log4j2 has options that change nothing, such as `nolookups`. */
function readOption(field: PatternField, option: string): string | undefined {
  switch (field) {
    case 'time': {
      const format = Object.hasOwn(TIMES, option) ? TIMES[option]! : option;
      const isReadable = [...format.matchAll(TIME_TOKEN)].every(
        ([, , run]) => run === undefined || (TIME_FIELDS as readonly string[]).includes(run),
      );
      return isReadable ? format : undefined;
    }
    case 'logger':
      return /^\d{0,2}$/.test(option) ? option : undefined;
    case 'level':
    case 'thread':
      return option === '' ? option : undefined;
    case 'message':
      return '';
  }
}

/** log4j2 takes the longest name that fits. */
function longestKnown(letters: string): string {
  for (let length = letters.length; length > 0; length -= 1) {
    const word = letters.slice(0, length);
    if (Object.hasOwn(FIELDS, word)) return word;
  }
  return '';
}

function withoutLineEnd(parts: readonly PatternPart[]): readonly PatternPart[] {
  return parts.map((part) => (part.kind === 'text' ? { ...part, text: part.text.replaceAll(/[\r\n]+/g, ' ') } : part));
}

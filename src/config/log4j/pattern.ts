// A log4j2 pattern such as `%d{ISO8601} [%-5p] %t %c - %m%n`, taken apart.

export type PatternField = 'time' | 'level' | 'thread' | 'logger' | 'message';

export type PatternPart =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'field';
      readonly field: PatternField;
      /** Of times: `yyyy-MM-dd'T'HH:mm:ss,SSS`. Of loggers: how many of the last components. */
      readonly option: string;
      /** Padded to so many characters, on the right where `isLeft`; cut to the last `max`. */
      readonly min: number;
      readonly isLeft: boolean;
      readonly max: number;
    };

export interface Pattern {
  /** Without the line end, which every line has anyway. */
  readonly parts: readonly PatternPart[];
  /** Conversions that have no meaning here, such as `%X{id}`: they print nothing. */
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

const CONVERSION = /%(%|(-?)(\d{0,3})(?:\.-?(\d{1,3}))?([A-Za-z]+)((?:\{[^{}]*\})*))/g;
const DEFAULT_TIME = 'yyyy-MM-dd HH:mm:ss,SSS';
const TIMES: Readonly<Record<string, string>> = {
  '': DEFAULT_TIME,
  DEFAULT: DEFAULT_TIME,
  ISO8601: "yyyy-MM-dd'T'HH:mm:ss,SSS",
  ABSOLUTE: 'HH:mm:ss,SSS',
};

export function parsePattern(pattern: string): Pattern {
  const parts: PatternPart[] = [];
  const unknown: string[] = [];
  const text = (piece: string): void => void (piece !== '' && parts.push({ kind: 'text', text: piece }));
  let last = 0;
  for (const match of pattern.matchAll(CONVERSION)) {
    const [whole, body, minus, min, max, letters = '', options = ''] = match;
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
    const option = isWhole ? (/^\{([^{}]*)\}/.exec(options)?.[1] ?? '') : '';
    parts.push({
      kind: 'field',
      field,
      option: field === 'time' ? (TIMES[option] ?? option) : option,
      min: Number(min || 0),
      isLeft: minus === '-',
      max: max === undefined ? Number.POSITIVE_INFINITY : Number(max),
    });
    // `%mfoo` is the message and the text foo; a line end inside it is none.
    if (!isWhole) text(letters.slice(word.length) + options);
  }
  text(pattern.slice(last));
  return { parts: withoutLineEnd(parts), unknown };
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

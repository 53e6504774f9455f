// The small part of Python's literal syntax that NumPy writes into headers: dict, tuple, list, str, int, bool.
import type { FindingCode } from '../../kernel/index.ts';
import { Refusal } from './refusal.ts';

export type Literal = string | bigint | boolean | null | Literal[] | Map<string, Literal>;

const MAX_DEPTH = 16;
/** One token: a quoted text without escapes, an integer (Python 2 adds an L), a word, or a mark. */
const TOKEN = /\s*(?:'([^'\\\n]*)'|"([^"\\\n]*)"|(-?\d{1,30})L?|(True|False|None)|([{}()[\],:]))/y;

/** Parses `text` or throws a Refusal with `code`. Tuples and lists both become arrays. */
export function parsePythonLiteral(text: string, code: FindingCode): Literal {
  let at = 0;
  const fail = (): never => {
    throw new Refusal(code, 'The header is not a plain Python literal.', at);
  };
  const next = (): { mark?: string; value?: Literal } => {
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(text) ?? fail();
    at = TOKEN.lastIndex;
    const [, single, double, int, word, mark] = found;
    if (mark !== undefined) return { mark };
    if (int !== undefined) return { value: BigInt(int) };
    if (word !== undefined) return { value: word === 'None' ? null : word === 'True' };
    return { value: single ?? double ?? '' };
  };
  const sequence = (close: string, depth: number): Literal[] => {
    const items: Literal[] = [];
    for (;;) {
      const before = at;
      if (next().mark === close) return items;
      at = before;
      items.push(value(depth + 1));
      const { mark } = next();
      if (mark === close) return items;
      if (mark !== ',') fail();
    }
  };
  const dict = (depth: number): Map<string, Literal> => {
    const entries = new Map<string, Literal>();
    for (;;) {
      const key = next();
      if (key.mark === '}') return entries;
      if (typeof key.value !== 'string' || entries.has(key.value) || next().mark !== ':') return fail();
      entries.set(key.value, value(depth + 1));
      const { mark } = next();
      if (mark === '}') return entries;
      if (mark !== ',') fail();
    }
  };
  const value = (depth: number): Literal => {
    if (depth > MAX_DEPTH) fail();
    const token = next();
    if (token.value !== undefined) return token.value;
    if (token.mark === '{') return dict(depth);
    if (token.mark === '(') return sequence(')', depth);
    if (token.mark === '[') return sequence(']', depth);
    return fail();
  };
  const result = value(0);
  if (text.slice(at).trim() !== '') fail();
  return result;
}

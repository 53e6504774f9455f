// JSON without ambiguity: a duplicate key is refused, because parsers differ on which of the two counts.
import { Refusal } from './refusal.ts';
import type { FindingCode } from '../../kernel/index.ts';

export type Json = null | boolean | number | string | Json[] | JsonObject;
/** A Map, because `__proto__` is a legal tensor name. */
export type JsonObject = Map<string, Json>;

const MAX_DEPTH = 32;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
/** What readers of unsigned integers accept: no sign, no exponent, no fraction. */
const COUNT = /(?:0|[1-9]\d*)(?![\d.eE])/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BLANK = /[ \t\n\r]*/y;

/** Parses `text` or throws a Refusal with `code`. With `counts`, every number in it has to be a plain unsigned integer. */
export function parseStrictJson(text: string, code: FindingCode, numbers: 'any' | 'counts' = 'any'): Json {
  const parser = new Parser(text, code, numbers === 'counts' ? COUNT : NUMBER);
  const value = parser.value(0);
  parser.end();
  return value;
}

class Parser {
  readonly #text: string;
  readonly #code: FindingCode;
  readonly #number: RegExp;
  #at = 0;

  constructor(text: string, code: FindingCode, number: RegExp) {
    this.#text = text;
    this.#code = code;
    this.#number = number;
  }

  value(depth: number): Json {
    if (depth > MAX_DEPTH) throw this.#refusal('The JSON nests too deep.');
    this.#match(BLANK);
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return Number(this.#match(this.#number));
    }
  }

  end(): void {
    this.#match(BLANK);
    if (this.#at !== this.#text.length) throw this.#refusal('Something follows the JSON value.');
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = new Map();
    this.#at++;
    if (this.#isNext('}')) return object;
    do {
      this.#match(BLANK);
      const key = this.#string();
      if (object.has(key)) throw this.#refusal(`The key ${key} appears twice.`);
      this.#expect(':');
      object.set(key, this.value(depth + 1));
    } while (this.#isNext(','));
    this.#expect('}');
    return object;
  }

  #array(depth: number): Json[] {
    const items: Json[] = [];
    this.#at++;
    if (this.#isNext(']')) return items;
    do items.push(this.value(depth + 1));
    while (this.#isNext(','));
    this.#expect(']');
    return items;
  }

  #string(): string {
    if (this.#text.charCodeAt(this.#at) !== QUOTE) throw this.#refusal('The JSON is malformed.');
    let end = this.#at + 1;
    for (let code = this.#text.charCodeAt(end); code !== QUOTE; code = this.#text.charCodeAt(end)) {
      if (Number.isNaN(code)) throw this.#refusal('A JSON string does not end.');
      end += code === BACKSLASH ? 2 : 1;
    }
    const literal = this.#text.slice(this.#at, end + 1);
    this.#at = end + 1;
    try {
      return JSON.parse(literal) as string;
    } catch {
      throw this.#refusal('A JSON string is malformed.');
    }
  }

  #word<T extends Json>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#refusal('The JSON is malformed.');
    this.#at += word.length;
    return value;
  }

  #isNext(mark: string): boolean {
    this.#match(BLANK);
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }

  #expect(mark: string): void {
    if (!this.#isNext(mark)) throw this.#refusal('The JSON is malformed.');
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) throw this.#refusal('The JSON is malformed.');
    this.#at += found.length;
    return found;
  }

  #refusal(message: string): Refusal {
    return new Refusal(this.#code, message, this.#at);
  }
}

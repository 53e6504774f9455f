// The request target: path segments and query (surface spec 2.1, 3). The attacker controls every character.
import { Fault } from '../kernel/index.ts';

export interface Target {
  /** Percent-decoded, without empty segments at the end. Undefined when the target is no path at all. */
  readonly segments: readonly string[] | undefined;
  /** Text behind the first `?`, still encoded. */
  readonly query: string;
}

/** Throws Fault `bad_request` for a percent sequence that is not UTF-8. */
export function parseTarget(target: string): Target {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : target.slice(mark + 1);
  // Absolute and asterisk forms name no route of ours.
  if (path.charCodeAt(0) !== 0x2f) return { segments: undefined, query };
  const segments = path.slice(1).split('/');
  while (segments.length > 0 && segments[segments.length - 1] === '') segments.pop();
  return { segments: path.includes('%') ? segments.map(decode) : segments, query };
}

/** Query parameters. Only the first of a repeated one counts, except where all are asked for. */
export class Query {
  readonly #pairs: (readonly [string, string])[] = [];

  constructor(text: string) {
    if (text === '') return;
    for (const pair of text.split('&', MAX_PARAMETERS)) {
      if (pair === '') continue;
      const equals = pair.indexOf('=');
      const name = equals < 0 ? pair : pair.slice(0, equals);
      const value = equals < 0 ? '' : pair.slice(equals + 1);
      this.#pairs.push([decodePlus(name), decodePlus(value)]);
    }
  }

  get pairs(): readonly (readonly [name: string, value: string])[] {
    return this.#pairs;
  }

  text(name: string): string | undefined {
    return this.#pairs.find(([known]) => known === name)?.[1];
  }

  all(name: string): readonly string[] {
    return this.#pairs.filter(([known]) => known === name).map(([, value]) => value);
  }

  /** A Java `int`, or undefined when absent or not one. */
  integer(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parseJavaInt(text);
  }

  /** True only for the word `true` in any case; undefined when absent. */
  boolean(name: string): boolean | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : text.toLowerCase() === 'true';
  }
}

/** As many parameters as TorchServe's decoder reads. */
const MAX_PARAMETERS = 1024;

export function parseJavaInt(text: string): number | undefined {
  if (!/^[+-]?\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= -2_147_483_648 && value <= 2_147_483_647 ? value : undefined;
}

const decodePlus = (text: string): string => decode(text.includes('+') ? text.replaceAll('+', ' ') : text);

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new Fault('bad_request', 'The request target holds a percent sequence that is not UTF-8.', { cause });
  }
}

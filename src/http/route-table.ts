// One exact table of routes per listener. A route without a permission cannot be constructed.
import type { Permission } from '../policy/index.ts';

/** What the pattern captured; always the same shape, so that the hot path stays monomorphic. */
export interface Params {
  readonly model: string;
  readonly version: string | undefined;
  /** Segments behind the version, joined with `/`. */
  readonly rest: string;
}

export interface Route<Answer> {
  /** Exact methods, or `any`. */
  readonly methods: readonly string[] | 'any';
  /** `/literal/{model}/{version}/{rest...}`; a parameter may have a suffix, as in `{model}:predict`. */
  readonly pattern: string;
  /** What the route does, for the audit log. */
  readonly operation: string;
  readonly permission: (params: Params) => Permission;
  readonly answer: Answer;
  /** Replaces the text of a refused key (surface spec 6.5). */
  readonly refusal?: string;
  /** The first segment matches in any letter case. */
  readonly ignoresCase?: boolean;
}

export interface Match<Answer> {
  readonly route: Route<Answer>;
  readonly params: Params;
}

type Token =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'parameter'; readonly name: 'model' | 'version'; readonly suffix: string }
  | { readonly kind: 'rest' };

interface Compiled<Answer> {
  readonly route: Route<Answer>;
  readonly tokens: readonly Token[];
  readonly hasRest: boolean;
}

const NO_PARAMS: Params = { model: '', version: undefined, rest: '' };

export class RouteTable<Answer> {
  readonly routes: readonly Route<Answer>[];
  readonly #byFirstSegment = new Map<string, Compiled<Answer>[]>();
  readonly #others: Compiled<Answer>[] = [];
  readonly #notFound: Match<Answer>;
  readonly #methodNotAllowed: Answer;

  /** `fallback` stands for every path that is not listed: its permission is asked before the 404 (surface spec 1.3). */
  constructor(routes: readonly Route<Answer>[], fallback: Route<Answer>, methodNotAllowed: Answer) {
    this.routes = routes;
    this.#methodNotAllowed = methodNotAllowed;
    for (const route of [...routes, fallback]) requirePermission(route);
    this.#notFound = { route: fallback, params: NO_PARAMS };
    for (const route of routes) {
      const compiled = compile(route);
      const first = compiled.tokens[0];
      if (first !== undefined && (first.kind !== 'literal' || route.ignoresCase)) {
        this.#others.push(compiled);
        continue;
      }
      const key = first?.kind === 'literal' ? first.text : '';
      const bucket = this.#byFirstSegment.get(key);
      if (bucket) bucket.push(compiled);
      else this.#byFirstSegment.set(key, [compiled]);
    }
  }

  /** Literal first segments win over `/{model}/…`; within one bucket the first route of the table wins. */
  find(method: string, segments: readonly string[] | undefined): Match<Answer> {
    if (segments === undefined) return this.#notFound;
    const known = this.#byFirstSegment.get(segments[0] ?? '');
    return (
      (known && this.#findIn(known, method, segments)) ?? this.#findIn(this.#others, method, segments) ?? this.#notFound
    );
  }

  #findIn(bucket: readonly Compiled<Answer>[], method: string, segments: readonly string[]): Match<Answer> | undefined {
    let other: Match<Answer> | undefined;
    for (const compiled of bucket) {
      const { route } = compiled;
      const params = matchSegments(compiled, segments);
      if (params === undefined) continue;
      if (route.methods === 'any' || route.methods.includes(method)) return { route, params };
      // The path is known, the method is not: the same key is wanted before the 405 is told.
      other ??= { route: { ...route, answer: this.#methodNotAllowed }, params };
    }
    return other;
  }
}

function requirePermission<Answer>(route: Route<Answer>): void {
  if (typeof route.permission !== 'function') throw new TypeError(`Route ${route.pattern} has no permission.`);
}

function compile<Answer>(route: Route<Answer>): Compiled<Answer> {
  const words = route.pattern.split('/').slice(1);
  const tokens = words.filter((word) => word !== '').map(tokenOf);
  return { route, tokens, hasRest: tokens.at(-1)?.kind === 'rest' };
}

function tokenOf(word: string): Token {
  if (word === '{rest...}') return { kind: 'rest' };
  const parameter = /^\{(model|version)\}(.*)$/.exec(word);
  if (parameter) {
    return { kind: 'parameter', name: parameter[1] as 'model' | 'version', suffix: parameter[2] ?? '' };
  }
  if (/[{}]/.test(word)) throw new TypeError(`Route segment ${word} is not understood.`);
  return { kind: 'literal', text: word };
}

function matchSegments<Answer>(compiled: Compiled<Answer>, segments: readonly string[]): Params | undefined {
  const { tokens, hasRest, route } = compiled;
  if (hasRest ? segments.length < tokens.length : segments.length !== tokens.length) return undefined;
  let model = '';
  let version: string | undefined;
  let rest = '';
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at] as Token;
    const segment = segments[at] as string;
    if (token.kind === 'literal') {
      if (segment !== token.text && !(route.ignoresCase && at === 0 && segment.toLowerCase() === token.text)) {
        return undefined;
      }
    } else if (token.kind === 'rest') {
      rest = segments.slice(at).join('/');
    } else {
      const { suffix } = token;
      // KServe's verbs count wherever they stand in the segment (surface spec 2.1).
      const end = suffix === '' ? segment.length : segment.indexOf(suffix);
      if (end < 0) return undefined;
      const value = segment.slice(0, end);
      if (value === '') return undefined;
      if (token.name === 'model') model = value;
      else version = value;
    }
  }
  return { model, version, rest };
}

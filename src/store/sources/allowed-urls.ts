// `allowed_urls`: TorchServe's regular expressions (surface spec 8.6), matched on parsed parts instead of on text.
//
// An entry is split into scheme, authority and path. A dot is a dot unless a quantifier follows, and a wildcard never
// crosses from one part into the next, so `https://s3.amazonaws.com/.*` means that host and no look-alike of it.
// An authority without a path, and a path that ends in `/`, allow everything below. docs/model-sources.md tells operators.
import { Fault } from '../../kernel/index.ts';

const SCHEMES = ['http', 'https', 'file', 's3'] as const;
type Scheme = (typeof SCHEMES)[number];

export interface AllowedUrl {
  readonly url: URL;
  /** The entry spells this very host out: its address may be internal. */
  readonly isLiteralHost: boolean;
}

export interface AllowedUrls {
  /** The parsed URL when some entry allows it, else null. The caller of register controls `text`. */
  match(text: string): AllowedUrl | null;
  /** True for text that no URL parser accepts but whose scheme is open to every host: then the download fails instead. */
  matchesMalformed(text: string): boolean;
}

/** `entries`: the comma-separated list, split or not. Throws `invalid_configuration` for an entry it cannot take apart. */
export function parseAllowedUrls(entries: readonly string[]): AllowedUrls {
  const rules = entries
    .flatMap((entry) => entry.split(','))
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .flatMap((entry) => alternatives(entry).map((alternative) => parseRule(alternative, entry)));
  return {
    match(text) {
      const url = parseUrl(text);
      if (url === null) return null;
      const matching = rules.filter((rule) => allows(rule, url));
      return matching.length === 0
        ? null
        : { url, isLiteralHost: matching.some((rule) => rule.host.kind === 'literal') };
    },
    matchesMalformed(text) {
      const scheme = /^(https?):\/\//i.exec(text)?.[1]?.toLowerCase();
      if (scheme === undefined || URL.canParse(text)) return false;
      return rules.some((rule) => rule.host.kind === 'any' && rule.schemes.has(scheme as Scheme));
    },
  };
}

/** Longest model URL; presigned ones reach two thousand characters. */
const MAX_URL_CHARS = 8192;
/** Encoded separators, dots and NUL: the server behind the URL may decode what the entry did not see. */
const ENCODED_TRICKS = /%(2e|2f|5c|00)/i;

function parseUrl(text: string): URL | null {
  // The URL parser would repair blanks, controls and backslashes; what it repairs, a person reads differently.
  if (text.length > MAX_URL_CHARS || /[\s\\\p{Cc}\p{Cf}]/u.test(text)) return null;
  if (!/^((https?|s3):\/\/[^/]|file:\/\/)/i.test(text)) return null;
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.password !== '' || ENCODED_TRICKS.test(url.pathname)) return null;
  // Decides `https://host:@x` and `https://@host`, whose empty userinfo the parser drops.
  if (/^[a-z]+:\/\/[^/?#]*@/i.test(text)) return null;
  if (url.protocol === 'file:' && url.host !== '') return null;
  if (url.protocol === 's3:' && !isBucketUrl(url)) return null;
  url.hash = '';
  return url;
}

/** A bucket and a key: no port, no query, and a name that is a host label of S3. */
function isBucketUrl({ hostname, port, search, pathname }: URL): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(hostname) && port === '' && search === '' && pathname.length > 1;
}

type HostRule =
  | { readonly kind: 'any' }
  | { readonly kind: 'none' }
  | { readonly kind: 'literal'; readonly host: string }
  | { readonly kind: 'pattern'; readonly pattern: RegExp };

interface Rule {
  readonly schemes: ReadonlySet<Scheme>;
  readonly host: HostRule;
  readonly path: RegExp | null;
}

function allows(rule: Rule, url: URL): boolean {
  const scheme = url.protocol.slice(0, -1) as Scheme;
  if (!rule.schemes.has(scheme)) return false;
  if (scheme !== 'file' && !hostMatches(rule.host, url, scheme)) return false;
  return rule.path === null || rule.path.test(url.pathname + url.search);
}

function hostMatches(rule: HostRule, url: URL, scheme: Scheme): boolean {
  if (rule.kind === 'any') return true;
  if (rule.kind === 'none') return false;
  if (rule.kind === 'literal') return URL.parse(`${scheme}://${rule.host}/`)?.host === url.host;
  const port = url.port === '' ? (scheme === 'https' ? '443' : '80') : url.port;
  return rule.pattern.test(url.host) || rule.pattern.test(`${url.hostname}:${port}`);
}

function parseRule(rule: string, entry: string): Rule {
  const separator = rule.indexOf('://');
  const schemes = new Set(
    SCHEMES.filter((scheme) => separator > 0 && compile(rule.slice(0, separator), entry).test(scheme)),
  );
  if (schemes.size === 0) {
    throw wrong(
      entry,
      'write scheme://host/path with scheme http, https, s3 or file, for example https://models.example.com/.*',
    );
  }
  const rest = rule.slice(separator + 3);
  const slash = partEnd(rest);
  let authority = rest.slice(0, slash);
  let path: string | null = slash === rest.length ? null : rest.slice(slash);
  if (schemes.has('file') && authority.startsWith('.*')) [authority, path] = ['.*', null];
  // `https://models.example.com.*`: the wildcard was meant for the path; for the host it would open `….com.evil.test`.
  if (path === null && authority !== '.*') authority = authority.replace(/\.[*+]$/, '');
  return { schemes, host: parseHost(authority, entry), path: path === null ? null : parsePath(path, entry) };
}

function parseHost(authority: string, entry: string): HostRule {
  if (authority === '') return { kind: 'none' };
  if (authority === '.*' || authority === '.+') return { kind: 'any' };
  const text = authority.replaceAll('\\.', '.').replaceAll('\\-', '-');
  const isLiteral = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?$/i.test(text) && URL.canParse(`http://${text}/`);
  if (isLiteral) return { kind: 'literal', host: text };
  return { kind: 'pattern', pattern: compile(literalDots(authority, '[^/@:?#]'), entry) };
}

function parsePath(path: string, entry: string): RegExp {
  const open = path.endsWith('/') && !path.endsWith('\\/') ? `${path}.*` : path;
  return compile(literalDots(open, '.'), entry);
}

/** A dot before a quantifier is a wildcard (`any`); every other dot is a dot. Classes and escapes stay. */
function literalDots(pattern: string, any: string): string {
  return pattern.replace(/\\.|\[(?:\\.|[^\]\\])*\]|\.(?=[*+?{])|\./gs, (token, at: number) => {
    if (token !== '.') return token;
    return /^[*+?{]/.test(pattern.slice(at + 1)) ? any : '\\.';
  });
}

function compile(pattern: string, entry: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})$`, 'is');
  } catch (cause) {
    throw wrong(entry, 'it is not a regular expression', cause);
  }
}

/** Splits at `|` outside groups and classes; an outermost group around everything is taken off first. */
function alternatives(entry: string): readonly string[] {
  const parts: string[] = [];
  let start = 0;
  for (const [at, depth] of walk(entry)) {
    if (depth > 0 || entry[at] !== '|') continue;
    parts.push(entry.slice(start, at));
    start = at + 1;
  }
  parts.push(entry.slice(start));
  const [only] = parts;
  const isWrapped = parts.length === 1 && /^\((?!\?)/.test(only!) && groupEnd(only!) === only!.length - 1;
  return isWrapped ? alternatives(only!.slice(1, -1)) : parts;
}

/** Index of the first `/` outside groups and classes: the end of the authority. */
function partEnd(rest: string): number {
  for (const [at, depth] of walk(rest)) if (depth === 0 && rest[at] === '/') return at;
  return rest.length;
}

function groupEnd(text: string): number {
  for (const [at, depth] of walk(text)) if (at > 0 && depth === 0) return at;
  return -1;
}

/** Unescaped positions outside classes, each with the depth of groups around it (a closing bracket counts as outside). */
function* walk(text: string): Generator<readonly [number, number]> {
  let depth = 0;
  let inClass = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '\\') at += 1;
    else if (inClass) inClass = character !== ']';
    else if (character === '[') inClass = true;
    else {
      if (character === ')') depth -= 1;
      yield [at, depth];
      if (character === '(') depth += 1;
    }
  }
}

const wrong = (entry: string, what: string, cause?: unknown): Fault =>
  new Fault('invalid_configuration', `allowed_urls entry ${JSON.stringify(entry)}: ${what}.`, { cause });

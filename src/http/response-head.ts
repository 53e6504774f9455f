// Response headers: the fixed ones of surface spec 2.3, CORS (6.8), and what a handler may add (2.6).
import type { Header } from '../serving/index.ts';
import type { HttpOptions } from './options.ts';

/** Framing and hop-by-hop fields are the server's; the fixed fields are applied after the handler's. */
const NEVER_FROM_HANDLER = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'x-request-id',
  'pragma',
  'cache-control',
  'expires',
  'x-content-type-options',
]);

/** A head larger than what common clients accept (16 KB) would only break them. */
const MAX_HANDLER_HEADERS = 100;
const MAX_HANDLER_HEADER_CHARS = 12 * 1024;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// Latin-1 text without control characters; tab is allowed inside.
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const PHRASE = /^[\x20-\x7e]*$/;

/** Status codes a handler may choose: an interim 1xx would make the next answer look like this one's. */
export const isAnswerStatus = (status: number): boolean => Number.isInteger(status) && status >= 200 && status <= 599;

export const cleanPhrase = (phrase: string): string => (PHRASE.test(phrase) ? phrase : '');

/** A handler's headers that are fit to send; the rest is dropped, a later one replaces an earlier one of the same name. */
export function cleanHeaders(headers: readonly Header[]): Map<string, string> {
  const clean = new Map<string, string>();
  let chars = 0;
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (NEVER_FROM_HANDLER.has(lower) || !TOKEN.test(name) || !FIELD_VALUE.test(value)) continue;
    chars += name.length + value.length;
    if (clean.size === MAX_HANDLER_HEADERS || chars > MAX_HANDLER_HEADER_CHARS) break;
    // The reference's header map ignores case; the last spelling is sent.
    for (const known of clean.keys()) if (known.toLowerCase() === lower) clean.delete(known);
    clean.set(name, value);
  }
  return clean;
}

export class ResponseHeads {
  readonly #cors: readonly (readonly [name: string, value: string])[];
  readonly #flatCors: readonly string[];

  constructor(options: HttpOptions) {
    const all = [
      ['access-control-allow-origin', options.corsAllowedOrigin],
      ['access-control-allow-methods', options.corsAllowedMethods],
      ['access-control-allow-headers', options.corsAllowedHeaders],
    ] as const;
    this.#cors = all.flatMap(([name, value]) => (value ? [[name, value] as const] : []));
    this.#flatCors = this.#cors.flat();
  }

  /** Flat name-value array for `writeHead`. `bytes` undefined: the length is not known, the body is streamed. */
  build(
    requestId: string,
    contentType: string | undefined,
    handlerHeaders: readonly Header[],
    bytes: number | undefined,
    isChunked: boolean,
    isLast: boolean,
  ): string[] {
    const head = [
      'x-request-id',
      requestId,
      'Pragma',
      'no-cache',
      'Cache-Control',
      'no-cache; no-store, must-revalidate, private',
      'Expires',
      'Thu, 01 Jan 1970 00:00:00 UTC',
      'x-content-type-options',
      'nosniff',
      'connection',
      isLast ? 'close' : 'keep-alive',
    ];
    if (bytes !== undefined) head.push('content-length', String(bytes));
    else if (isChunked) head.push('transfer-encoding', 'chunked');
    if (handlerHeaders.length === 0) {
      if (contentType !== undefined && FIELD_VALUE.test(contentType)) head.push('content-type', contentType);
      if (this.#flatCors.length > 0) head.push(...this.#flatCors);
      return head;
    }
    const own = cleanHeaders(handlerHeaders);
    const names = new Set<string>();
    for (const [name, value] of own) {
      names.add(name.toLowerCase());
      head.push(name, value);
    }
    if (contentType !== undefined && !names.has('content-type') && FIELD_VALUE.test(contentType)) {
      head.push('content-type', contentType);
    }
    for (const [name, value] of this.#cors) if (!names.has(name)) head.push(name, value);
    return head;
  }
}

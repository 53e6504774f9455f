// What must hold for a request head before anything else looks at it.
// Node's parser already refuses Content-Length with Transfer-Encoding, repeated or malformed Content-Length, folded
// lines, blanks before the colon, bare CR or LF, NUL and bad chunk sizes. It lets the following pass.
import type { IncomingMessage } from 'node:http';
import { Fault } from '../kernel/index.ts';

export interface RequestHead {
  /** Undefined without one, and when there were two: neither counts then. */
  readonly authorization: string | undefined;
  readonly host: string | undefined;
  readonly contentType: string | undefined;
  /** Undefined when the body comes in chunks or there is none. */
  readonly contentLength: number | undefined;
  readonly isChunked: boolean;
  readonly contentEncoding: string | undefined;
  readonly origin: string | undefined;
}

/** More header lines than any client sends, few enough to look at each. */
const MAX_HEADER_LINES = 200;

/** Throws Fault `bad_request`; the connection must be closed then. */
export function inspectHead(request: IncomingMessage): RequestHead {
  const raw = request.rawHeaders;
  if (raw.length > MAX_HEADER_LINES * 2) throw invalidMessage();
  // HTTP/0.9 has no headers to say anything with, and other majors are not HTTP/1.
  if (request.httpVersionMajor !== 1) throw invalidMessage();
  let authorization: string | undefined;
  let authorizations = 0;
  let host: string | undefined;
  let contentType: string | undefined;
  let contentLength: number | undefined;
  let transferEncoding: string | undefined;
  let contentEncoding: string | undefined;
  let origin: string | undefined;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string;
    const value = raw[at + 1] as string;
    // The length decides first: most lines are none of these and are never lower-cased.
    switch (name.length) {
      case 4:
        if (name.toLowerCase() !== 'host') break;
        if (host !== undefined) throw invalidMessage();
        host = value;
        break;
      case 6:
        if (name.toLowerCase() === 'origin') origin ??= value;
        break;
      case 12:
        if (name.toLowerCase() !== 'content-type') break;
        // Two media types would let two readers see two different bodies.
        if (contentType !== undefined) throw invalidMessage();
        contentType = value;
        break;
      case 13:
        if (name.toLowerCase() !== 'authorization') break;
        authorizations += 1;
        authorization = value;
        break;
      case 14:
        if (name.toLowerCase() === 'content-length') contentLength = Number(value);
        break;
      case 16:
        if (name.toLowerCase() !== 'content-encoding') break;
        contentEncoding = contentEncoding === undefined ? value : `${contentEncoding}, ${value}`;
        break;
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break;
        if (transferEncoding !== undefined) throw invalidMessage();
        transferEncoding = value;
        break;
      default:
    }
  }
  const isChunked = transferEncoding !== undefined;
  if (isChunked && (transferEncoding?.toLowerCase() !== 'chunked' || request.httpVersionMinor === 0)) {
    throw invalidMessage();
  }
  if (host === undefined && request.httpVersionMinor > 0) throw invalidMessage();
  if (contentLength !== undefined && !Number.isSafeInteger(contentLength)) throw invalidMessage();
  return {
    authorization: authorizations === 1 ? authorization : undefined,
    host,
    contentType,
    contentLength,
    isChunked,
    contentEncoding,
    origin,
  };
}

export function invalidMessage(): Fault {
  return new Fault('bad_request', 'Invalid HTTP message.');
}

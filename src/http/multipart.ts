// multipart/form-data (RFC 7578) over a whole buffer: parts are views of it, nothing is copied or spooled.
import { Fault } from '../kernel/index.ts';

export interface FormPart {
  readonly name: string;
  /** Media type without parameters for file parts, undefined for plain fields (surface spec 2.4). */
  readonly contentType: string | undefined;
  readonly content: Uint8Array;
}

/** A form of more parts than this is an attack on the worker's dict. */
const MAX_PARTS = 1024;
/** The head of one part: Content-Disposition, Content-Type, and whatever a client adds. */
const MAX_PART_HEAD_BYTES = 8 * 1024;
/** RFC 2046 5.1.1. */
const MAX_BOUNDARY_CHARS = 70;

const HEAD_END = Buffer.from('\r\n\r\n');
const DASH = 0x2d;
const CR = 0x0d;
const LF = 0x0a;

/** `contentType` is the whole header value. Throws Fault `bad_request`. */
export function parseMultipart(contentType: string, body: Buffer): FormPart[] {
  const boundary = boundaryOf(contentType);
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  const parts: FormPart[] = [];
  let at = afterFirstDelimiter(body, delimiter);
  for (;;) {
    if (body[at] === DASH && body[at + 1] === DASH) return parts;
    while (body[at] === 0x20 || body[at] === 0x09) at += 1;
    if (body[at] !== CR || body[at + 1] !== LF) throw malformed('a boundary is not followed by a line end');
    if (parts.length === MAX_PARTS) throw malformed(`it has more than ${MAX_PARTS} parts`);
    // The search starts on the line end itself, so that a part without any header is seen as such.
    const headEnd = body.subarray(0, at + MAX_PART_HEAD_BYTES).indexOf(HEAD_END, at);
    if (headEnd < 0) throw malformed('the head of a part does not end');
    const contentStart = headEnd + HEAD_END.length;
    // A part's empty content shares its first line end with the blank line of the head.
    const contentEnd = body.indexOf(delimiter, contentStart - 2);
    if (contentEnd < 0) throw malformed('the last boundary is missing');
    const head = body.toString('utf8', at + 2, headEnd);
    parts.push(partOf(head, body.subarray(contentStart, Math.max(contentStart, contentEnd))));
    at = contentEnd + delimiter.length;
  }
}

function afterFirstDelimiter(body: Buffer, delimiter: Buffer): number {
  const bare = delimiter.subarray(2);
  if (body.subarray(0, bare.length).equals(bare)) return bare.length;
  const found = body.indexOf(delimiter);
  if (found < 0) throw malformed('its boundary does not occur');
  return found + delimiter.length;
}

function partOf(head: string, content: Uint8Array): FormPart {
  let disposition: Map<string, string> | undefined;
  let contentType: string | undefined;
  for (const line of head.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'content-disposition') disposition = parametersOf(value);
    else if (name === 'content-type') contentType = value.split(';', 1)[0]?.trim();
  }
  const name = disposition?.get('name');
  if (disposition === undefined || name === undefined) throw malformed('a part has no name');
  const isFile = disposition.has('filename') || disposition.has('filename*');
  return { name, contentType: isFile ? contentType || 'application/octet-stream' : undefined, content };
}

/** The `key=value` parameters behind the first `;`, quoted or not; the first of a repeated one counts. */
function parametersOf(value: string): Map<string, string> {
  const found = new Map<string, string>();
  let at = value.indexOf(';');
  while (at >= 0 && at < value.length) {
    const equals = value.indexOf('=', at);
    if (equals < 0) break;
    const key = value
      .slice(at + 1, equals)
      .trim()
      .toLowerCase();
    let text = '';
    at = equals + 1;
    while (value[at] === ' ' || value[at] === '\t') at += 1;
    if (value[at] === '"') {
      at += 1;
      while (at < value.length && value[at] !== '"') {
        // Browsers write %22 for a quote, curl writes \"; a backslash before anything else is a Windows path.
        if (value[at] === '\\' && (value[at + 1] === '"' || value[at + 1] === '\\')) at += 1;
        text += value[at];
        at += 1;
      }
      at = value.indexOf(';', at);
    } else {
      const end = value.indexOf(';', at);
      text = value.slice(at, end < 0 ? value.length : end).trim();
      at = end;
    }
    if (!found.has(key)) found.set(key, text);
  }
  return found;
}

function boundaryOf(contentType: string): string {
  const boundary = parametersOf(contentType).get('boundary');
  if (boundary === undefined || boundary === '') throw malformed('the Content-Type names no boundary');
  if (boundary.length > MAX_BOUNDARY_CHARS || !/^[\x20-\x7e]*[\x21-\x7e]$/.test(boundary)) {
    throw malformed('its boundary is not one');
  }
  return boundary;
}

function malformed(reason: string): Fault {
  return new Fault('bad_request', `The multipart/form-data body cannot be read: ${reason}.`);
}

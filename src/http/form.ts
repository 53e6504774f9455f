// application/x-www-form-urlencoded, decoded to bytes: a handler's form values may hold any of the 256.
import { Fault } from '../kernel/index.ts';
import type { FormPart } from './multipart.ts';

/** A form of more fields than this is an attack on the worker's dict. */
const MAX_FIELDS = 1024;

const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const PLUS = 0x2b;
const PERCENT = 0x25;

/** Throws Fault `bad_request`. Fields without a name are dropped, as TorchServe does. */
export function parseForm(body: Buffer): FormPart[] {
  const fields: FormPart[] = [];
  let seen = 0;
  let start = 0;
  while (start < body.length) {
    const found = body.indexOf(AMPERSAND, start);
    const end = found < 0 ? body.length : found;
    const field = body.subarray(start, end);
    start = end + 1;
    // Those without a name count as well: six million ampersands take a second to look at.
    seen += 1;
    if (seen > MAX_FIELDS) throw malformed(`it has more than ${MAX_FIELDS} fields`);
    const equals = field.indexOf(EQUALS);
    const name = decode(equals < 0 ? field : field.subarray(0, equals)).toString('utf8');
    if (name === '') continue;
    fields.push({
      name,
      contentType: undefined,
      content: equals < 0 ? Buffer.alloc(0) : decode(field.subarray(equals + 1)),
    });
  }
  return fields;
}

function decode(text: Buffer): Buffer {
  if (!text.includes(PLUS) && !text.includes(PERCENT)) return text;
  const decoded = Buffer.alloc(text.length);
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    let byte = text[at] as number;
    if (byte === PLUS) byte = 0x20;
    else if (byte === PERCENT) {
      const high = hexDigit(text[at + 1]);
      const low = hexDigit(text[at + 2]);
      if (high < 0 || low < 0) throw malformed('a percent sign is not followed by two hex digits');
      byte = high * 16 + low;
      at += 2;
    }
    decoded[length] = byte;
    length += 1;
  }
  return decoded.subarray(0, length);
}

function hexDigit(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function malformed(reason: string): Fault {
  return new Fault('bad_request', `The form cannot be read: ${reason}.`);
}

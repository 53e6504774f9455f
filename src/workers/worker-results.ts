// From a worker's result records to replies. What does not fit docs/worker-protocol.md is an offence, told by a throw.
import { Fault } from '../kernel/index.ts';
import type { BatchResult, Header, Reply } from '../serving/index.ts';

/** Thrown for a frame that breaks the protocol; the message says how. */
export class ProtocolOffence extends Error {}

const MAX_HEADERS = 256;
const MAX_PHRASE_CHARS = 256;
const MAX_MESSAGE_CHARS = 4096;

/** One result with the slices of the body that belong to it. */
export function parseResult(record: unknown, body: readonly Uint8Array[], bytes: number): BatchResult | Fault {
  const fields = asRecord(record, 'a result');
  if (fields['e'] !== undefined) return itemFault(fields['e']);
  if (hasTooManyHeaders(fields['h'])) {
    // A careless handler, not a broken worker: this answer fails, and nothing else.
    return new Fault('prediction_failed', `The handler set more than ${MAX_HEADERS} response headers.`);
  }
  return { reply: parseReply(fields, body, bytes), more: fields['more'] === true };
}

export function parseReply(
  fields: Readonly<Record<string, unknown>>,
  body: readonly Uint8Array[],
  bytes: number,
): Reply {
  const { st: status, ct: contentType, h: headers } = fields;
  const [code, phrase] = status === undefined ? OK : parseStatus(status);
  if (contentType !== undefined && typeof contentType !== 'string')
    throw new ProtocolOffence('a content type that is not text');
  return {
    status: code,
    phrase,
    contentType,
    headers: headers === undefined ? NO_HEADERS : parseHeaders(headers),
    body,
    bytes,
  };
}

/** The size that a result announces, in bytes. */
export function announcedSize(record: unknown): number {
  const size = asRecord(record, 'a result')['n'];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw new ProtocolOffence('a result without a size');
  return size;
}

/** Whole-batch and per-item failures: any HTTP status the handler chose, a bounded message. */
export function workerFault(code: unknown, message: unknown): Fault {
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 100 || code > 999) {
    throw new ProtocolOffence('a failure without a status');
  }
  if (typeof message !== 'string') throw new ProtocolOffence('a failure without a message');
  const text = message.slice(0, MAX_MESSAGE_CHARS);
  if (code === 503) return new Fault('prediction_failed', text);
  if (code === 507) return new Fault('out_of_resources', text);
  // Below 400 a client would take the failure for an answer.
  return new Fault('handler_status', text, { status: code < 400 ? 500 : code });
}

const OK: readonly [number, string] = [200, ''];
const NO_HEADERS: readonly Header[] = [];

function itemFault(value: unknown): Fault {
  if (!Array.isArray(value)) throw new ProtocolOffence('an item failure that is not a list');
  return workerFault(value[0], value[1]);
}

function parseStatus(value: unknown): readonly [number, string] {
  if (!Array.isArray(value)) throw new ProtocolOffence('a status that is not a list');
  const [code, phrase] = value as readonly unknown[];
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 200 || code > 999) {
    throw new ProtocolOffence('a status outside 200 to 999');
  }
  return [code, typeof phrase === 'string' ? phrase.slice(0, MAX_PHRASE_CHARS) : ''];
}

const hasTooManyHeaders = (value: unknown): boolean => Array.isArray(value) && value.length > MAX_HEADERS;

function parseHeaders(value: unknown): readonly Header[] {
  if (!Array.isArray(value) || hasTooManyHeaders(value)) throw new ProtocolOffence('headers that are not a short list');
  return value.map((pair: unknown): Header => {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string' || typeof pair[1] !== 'string') {
      throw new ProtocolOffence('a header that is not a pair of texts');
    }
    return [pair[0], pair[1]];
  });
}

export function asRecord(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ProtocolOffence(`${what} that is not an object`);
}

// The parameters of POST /models, from the query or from a JSON body (surface spec 3.1).
import { Fault } from '../kernel/index.ts';
import type { RegisterRequest } from '../serving/index.ts';
import { contiguous, type Body } from './body.ts';
import { parseJavaInt, type Query } from './target.ts';

/** A register body is a dozen short fields. */
const MAX_JSON_BYTES = 64 * 1024;

/** Where parameters are read from: absent and unreadable values are undefined. */
interface Parameters {
  text(name: string): string | undefined;
  integer(name: string): number | undefined;
  boolean(name: string): boolean | undefined;
}

/** Throws Faults `json_syntax`, `json_missing`, `payload_too_large`. */
export function registerRequestOf(contentType: string | undefined, query: Query, body: Body): RegisterRequest {
  const isJson = contentType?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json';
  const parameters = isJson ? jsonParameters(body) : query;
  const request: { -readonly [Key in keyof RegisterRequest]: RegisterRequest[Key] } = {
    url: parameters.text('url'),
    isSynchronous: parameters.boolean('synchronous') ?? true,
  };
  const text = (name: string): string | undefined => parameters.text(name);
  // TorchServe marks "not given" by these numbers; a client may send them and means the same.
  const integer = (name: string, unset?: number): number | undefined => {
    const value = parameters.integer(name);
    return value === unset ? undefined : value;
  };
  setIfGiven(request, 'modelName', text('model_name'));
  setIfGiven(request, 'handler', text('handler'));
  setIfGiven(request, 'runtime', text('runtime'));
  setIfGiven(request, 'batchSize', integer('batch_size', -1));
  setIfGiven(request, 'maxBatchDelayMs', integer('max_batch_delay', -100));
  setIfGiven(request, 'initialWorkers', integer('initial_workers'));
  setIfGiven(request, 'responseTimeoutSec', integer('response_timeout', -1));
  setIfGiven(request, 'startupTimeoutSec', integer('startup_timeout', -1));
  setIfGiven(request, 's3SseKms', parameters.boolean('s3_sse_kms'));
  return request;
}

function setIfGiven<Target, Key extends keyof Target>(target: Target, key: Key, value: Target[Key] | undefined): void {
  if (value !== undefined) target[key] = value;
}

function jsonParameters(body: Body): Parameters {
  if (body.bytes === 0) throw new Fault('json_missing', '');
  if (body.bytes > MAX_JSON_BYTES) throw new Fault('payload_too_large', 'The registration is larger than 64 KB.');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(contiguous(body)));
  } catch (cause) {
    throw new Fault('json_syntax', 'The request body is not JSON.', { cause });
  }
  if (value === null) throw new Fault('json_missing', '');
  if (typeof value !== 'object' || Array.isArray(value)) throw wrongType('the body', 'an object');
  // A map, so that a member called `__proto__` is a member like any other.
  const members = new Map(Object.entries(value));
  const member = (name: string): unknown => members.get(name) ?? undefined;
  return {
    text(name) {
      const found = member(name);
      if (found !== undefined && typeof found === 'object') throw wrongType(name, 'a string');
      return found === undefined ? undefined : String(found);
    },
    integer(name) {
      const found = member(name);
      if (found === undefined) return undefined;
      const parsed = typeof found === 'number' || typeof found === 'string' ? parseJavaInt(String(found)) : undefined;
      if (parsed === undefined) throw wrongType(name, 'an integer');
      return parsed;
    },
    boolean(name) {
      const found = member(name);
      if (found !== undefined && typeof found !== 'boolean' && typeof found !== 'string') {
        throw wrongType(name, 'true or false');
      }
      return found === undefined ? undefined : String(found).toLowerCase() === 'true';
    },
  };
}

function wrongType(name: string, expected: string): Fault {
  return new Fault('json_syntax', `The request body cannot be read: ${name} must be ${expected}.`);
}

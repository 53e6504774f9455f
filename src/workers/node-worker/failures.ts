// How a failure in this worker is told to the server: a status and a sentence a client may see (surface spec 9.1, 9.7).
import { isPredictionError } from './handler-api.ts';

interface Told {
  readonly code: number;
  readonly message: string;
}

export function batchFault(thrown: unknown): Told {
  if (isPredictionError(thrown)) return { code: thrown.statusCode, message: thrown.message };
  if (isOutOfMemory(thrown)) return { code: 507, message: 'Out of resources' };
  return { code: 503, message: 'Prediction failed' };
}

/** The operator reads this one, in describe and the log: it says what went wrong. */
export function loadFailure(thrown: unknown): Told {
  if (isOutOfMemory(thrown)) return { code: 507, message: 'System out of memory' };
  return { code: 500, message: thrown instanceof Error ? thrown.message : String(thrown) };
}

function isOutOfMemory(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  return /bad_alloc|Failed to allocate|Array buffer allocation failed|out of memory/i.test(thrown.message);
}

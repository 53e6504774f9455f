// How a Fault reads on HTTP: status and the JSON body of surface spec 2.10.
import type { Fault } from '../kernel/index.ts';
import { DEFAULT_FAILURE_LIMITS } from '../policy/index.ts';
import type { HttpOptions } from './options.ts';

export function statusOf(fault: Fault, authFailureStatus: HttpOptions['authFailureStatus']): number {
  // 413 is about the request's body, which was fine: what a worker calls too large are its own resources (2.10).
  if (fault.code === 'handler_status' && fault.status === 413) return 507;
  const isAuthFailure = fault.code === 'unauthenticated' || fault.code === 'forbidden';
  return authFailureStatus === 'rfc' && isAuthFailure ? (fault.entry.rfcStatus ?? fault.status) : fault.status;
}

/** An empty message stands for Java's null and is left out. */
export function errorBody(status: number, fault: Fault): string {
  const body = { code: status, type: fault.entry.type, message: fault.message === '' ? undefined : fault.message };
  return `${JSON.stringify(body, null, 2)}\n`;
}

/** Seconds, for faults that pass by waiting. */
export function retryAfterOf(fault: Fault): string | undefined {
  return fault.code === 'too_many_failures' ? String(DEFAULT_FAILURE_LIMITS.refillSec) : undefined;
}

// The calls of the management API that tests make all the time, and what they assert about the answers.
import assert from 'node:assert/strict';
import { errorBody, statusBody } from './compat-server.ts';
import type { Suite } from './compat-suite.ts';
import type { Exchanged } from './http-exchange.ts';

export interface ManagementCalls {
  /** `POST /models?{query}`. */
  register(query: string): Promise<Exchanged>;
  /** `POST /models` with a body of JSON, or of the very text; the query is there to be ignored. */
  registerJson(body: unknown, type?: string): Promise<Exchanged>;
  /** `PUT /models/{path}`. */
  scale(path: string): Promise<Exchanged>;
  /** `DELETE /models/{path}`. */
  remove(path: string): Promise<Exchanged>;
}

/** `suite.server` is only asked for when a call is made. */
export function managementCalls(suite: Suite): ManagementCalls {
  return {
    register: (query) => suite.server.admin(`/models?${query}`, 'POST'),
    registerJson: (body, type = 'application/json') =>
      suite.server.admin('/models?url=ignored.mar&model_name=ignored', 'POST', {
        headers: { 'Content-Type': type },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    scale: (path) => suite.server.admin(`/models/${path}`, 'PUT'),
    remove: (path) => suite.server.admin(`/models/${path}`, 'DELETE'),
  };
}

/** `{"status": message}`, byte for byte. */
export function says(answer: Exchanged, status: number, message: string): void {
  assert.deepEqual([answer.status, answer.text], [status, statusBody(message)]);
}

/** TorchServe's JSON error, byte for byte. */
export function refuses(answer: Exchanged, status: number, type: string, message: string): void {
  assert.deepEqual([answer.status, answer.text], [status, errorBody(status, type, message)]);
}

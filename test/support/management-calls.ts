// The calls of the management API that tests make all the time, and what they assert about the answers.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorBody, statusBody } from './compat-server.ts';
import type { Suite } from './compat-suite.ts';
import type { Exchanged } from './http-exchange.ts';

const WAIT_MS = 30_000;

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

/** Waits for something that happens in its own time. Rejects after half a minute. */
export async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await sleep(20);
  }
}

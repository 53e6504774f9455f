// key_file.json (surface spec 6.1), and what TorchServe answers to a key that is not in it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorBody } from './compat-server.ts';
import type { Exchanged } from './http-exchange.ts';

export interface KeyFile {
  readonly management: { readonly key: string; readonly 'expiration time': string };
  readonly inference: { readonly key: string; readonly 'expiration time': string };
  readonly API: { readonly key: string };
}

/** `dir` is a server's working directory. */
export const keyFileIn = (dir: string): string => join(dir, 'key_file.json');
export const keysIn = (dir: string): KeyFile => JSON.parse(readFileSync(keyFileIn(dir), 'utf8')) as KeyFile;

export const KEY_REFUSED_TEXT =
  'Token Authorization failed. Token either incorrect, expired, or not provided correctly';
export const KEY_REFUSED = errorBody(400, 'InvalidKeyException', KEY_REFUSED_TEXT);
/** The answer of `/token` differs in one word. */
export const TOKEN_REFUSED = KEY_REFUSED.replace('Authorization', 'Authentication');

export function isRefused(answer: Exchanged, text = KEY_REFUSED): void {
  assert.deepEqual([answer.status, answer.text], [400, text]);
}

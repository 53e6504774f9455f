// Where a client command takes its key from: --token-file, else DAVY_TOKEN, else key_file.json of the working directory.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Fault, Secret } from '../../kernel/index.ts';
import type { Io } from './io.ts';

export type KeyType = 'inference' | 'management' | 'API';

export interface TokenChoice {
  readonly token: Secret | undefined;
  /** For messages: where the key came from or should have come from. */
  readonly from: string;
}

export interface KeyFileEntry {
  readonly key: Secret;
  /** ISO-8601; undefined for keys that never expire. */
  readonly expires: string | undefined;
}

/** A server without authorisation needs no key, so a missing key_file.json is no error here. */
export function chooseToken(io: Io, type: KeyType, tokenFile: string | undefined): TokenChoice {
  const named = tokenFile === undefined ? undefined : resolve(io.cwd, tokenFile);
  if (named === undefined && io.env['DAVY_TOKEN'])
    return { token: new Secret(io.env['DAVY_TOKEN']), from: 'DAVY_TOKEN' };
  const path = named ?? resolve(io.cwd, 'key_file.json');
  const text = readIfThere(path);
  if (text !== undefined) return { token: parseTokenFile(text, path).get(type)?.key, from: path };
  if (named === undefined) return { token: undefined, from: path };
  throw new Fault('usage', `Token file not found: ${path}`);
}

/** TorchServe's key_file.json (surface spec 6.1), or a file that holds nothing but one key, which then serves every type. */
export function parseTokenFile(text: string, path: string): ReadonlyMap<KeyType, KeyFileEntry> {
  const types = ['inference', 'management', 'API'] as const;
  if (!text.trimStart().startsWith('{')) {
    const key = text.trim();
    if (/^\S+$/.test(key)) return new Map(types.map((type) => [type, { key: new Secret(key), expires: undefined }]));
    throw new Fault(
      'usage',
      `${path} holds no key: it must be key_file.json of the server, or one key and nothing else.`,
    );
  }
  const json = parseJson(text, path);
  const entries = new Map<KeyType, KeyFileEntry>();
  for (const type of types) {
    const entry = Object.hasOwn(json, type) ? (json[type] as Record<string, unknown> | null) : null;
    const key = entry?.['key'];
    const expires = entry?.['expiration time'];
    if (typeof key !== 'string' || !/^\S+$/.test(key)) continue;
    entries.set(type, { key: new Secret(key), expires: typeof expires === 'string' ? expires : undefined });
  }
  return entries;
}

function parseJson(text: string, path: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new Fault('usage', `${path} is not JSON.`, { cause });
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Fault('usage', `Cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

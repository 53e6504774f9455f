// `davy token`: shows the keys of key_file.json, or has the running server make a new one.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Fault } from '../../kernel/index.ts';
import { type ServerOptions, callText } from './client.ts';
import { EXIT, type Io } from './io.ts';
import { formatTable } from './table.ts';
import { type KeyType, parseTokenFile } from './token-source.ts';

export interface ShowOptions {
  readonly tokenFile?: string;
}

/** With a type only the bare key, for `$(davy token show inference)`. Printing keys is what this command is for. */
export function showTokens(io: Io, type: string | undefined, options: ShowOptions): number {
  const path = resolve(io.cwd, options.tokenFile ?? 'key_file.json');
  const entries = parseTokenFile(readKeyFile(path), path);
  if (type === undefined) {
    const rows = [...entries].map(([name, { key, expires }]) => [name, key.reveal(), expires ?? 'never']);
    io.stdout.write(formatTable(['TYPE', 'KEY', 'EXPIRES'], rows));
    return EXIT.ok;
  }
  const entry = entries.get(type as KeyType);
  if (entry === undefined) throw new Fault('usage', `${path} has no ${type} key. Types: inference, management, API.`);
  io.stdout.write(`${entry.key.reveal()}\n`);
  return EXIT.ok;
}

/** The server's answer is empty by contract; the new key is only in its key_file.json (surface spec 6.5). */
export async function rotateToken(io: Io, type: string, options: ServerOptions): Promise<number> {
  await callText(io, options, { method: 'GET', path: `/token?type=${encodeURIComponent(type)}`, key: 'API' });
  io.stdout.write(`New ${type} key written to the server's key_file.json; the old one no longer works.\n`);
  return EXIT.ok;
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Fault(
      'usage',
      `Cannot read ${path}. The server writes it into its working directory: run this there, or give --token-file PATH.`,
      { cause },
    );
  }
}

// `davy predict MODEL [FILE|-]`: one prediction, its answer streamed to stdout as it arrives.
import { createReadStream } from 'node:fs';
import { extname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { Fault } from '../../kernel/index.ts';
import { type ServerOptions, callServer } from './client.ts';
import { EXIT, type Io, withProgress } from './io.ts';
import { isFile } from './read-settings.ts';

export interface PredictOptions extends ServerOptions {
  readonly version?: string;
  readonly contentType?: string;
  /** The input is JSON, whatever the file is called. */
  readonly json?: boolean;
  /** Input given on the command line itself. */
  readonly data?: string;
  /** `Name: value` each. */
  readonly header?: readonly string[];
}

export async function predict(
  io: Io,
  model: string,
  file: string | undefined,
  options: PredictOptions,
): Promise<number> {
  const input = openInput(io, file, options.data);
  const path = ['/predictions', model, ...(options.version === undefined ? [] : [options.version])];
  const response = await withProgress(
    io,
    `Waiting for ${model} (its workers: davy models describe ${model})`,
    callServer(io, options, {
      method: 'POST',
      path: path.map((part, at) => (at === 0 ? part : encodeURIComponent(part))).join('/'),
      key: 'inference',
      headers: { 'content-type': contentTypeOf(file, options), ...parseHeaders(options.header ?? []) },
      body: input,
    }),
  );
  let last = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    // A slow reader slows the server down; nothing piles up here.
    await new Promise<void>((done) => void io.stdout.write(chunk, () => done()));
    last = chunk.at(-1) ?? last;
  }
  // A prompt should not follow on the same line; pipes get the bytes and nothing else.
  if (io.stdout.isTTY && last !== NEWLINE) io.stdout.write('\n');
  return EXIT.ok;
}

const NEWLINE = 0x0a;

function openInput(io: Io, file: string | undefined, data: string | undefined): Uint8Array | Readable {
  if (data !== undefined) {
    if (file === undefined) return Buffer.from(data);
    throw new Fault('usage', 'Give either a file or --data, not both.');
  }
  if (file === '-' || (file === undefined && !io.stdin.isTTY)) return io.stdin;
  if (file === undefined) {
    throw new Fault('usage', 'Nothing to predict from: name a file, pipe something in, or give --data TEXT.');
  }
  const path = resolve(io.cwd, file);
  if (!isFile(path)) throw new Fault('usage', `Input file not found: ${file}`);
  return createReadStream(path);
}

const TYPES: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.txt': 'text/plain',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.png': 'image/png',
};

export function contentTypeOf(file: string | undefined, options: Pick<PredictOptions, 'contentType' | 'json'>): string {
  if (options.contentType !== undefined) return options.contentType;
  if (options.json) return 'application/json';
  return TYPES[extname(file ?? '').toLowerCase()] ?? 'application/octet-stream';
}

/** Throws `usage` unless each is `Name: value`. */
export function parseHeaders(lines: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    lines.map((line) => {
      const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)$/.exec(line);
      if (match === null) throw new Fault('usage', `--header takes "Name: value", found ${JSON.stringify(line)}.`);
      return [match[1] ?? '', match[2] ?? ''];
    }),
  );
}

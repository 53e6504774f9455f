// One HTTP call from a command to the running server, over TCP, TLS or a unix socket.
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { Fault } from '../../kernel/index.ts';
import type { Io } from './io.ts';
import { printable } from './table.ts';
import { type KeyType, chooseToken } from './token-source.ts';

/** The options that every client command shares. */
export interface ServerOptions {
  /** `http://host:port`, `https://host:port` or `unix:/path`. */
  readonly inference: string;
  readonly management: string;
  readonly tokenFile?: string;
  /** PEM file of the authority that signed the server's certificate. */
  readonly ca?: string;
  /** Ends the calls that are under way; they fail with `server_unreachable`. */
  readonly signal?: AbortSignal;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly key: KeyType;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | Readable;
}

export interface ReadAnswer {
  readonly status: number;
  readonly text: string;
}

/** The parsed JSON of a successful answer; throws `server_refused` or `server_unreachable` with what to do about it. */
export async function callJson(io: Io, server: ServerOptions, call: Call): Promise<unknown> {
  const { text } = await callText(io, server, call);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Fault('server_refused', `${addressOf(server, call)} did not answer with JSON. Is it a model server?`, {
      cause,
    });
  }
}

export async function callText(io: Io, server: ServerOptions, call: Call): Promise<ReadAnswer> {
  const response = await callServer(io, server, call);
  const body = await readAll(response).catch((cause: unknown) => {
    throw unreachable(addressOf(server, call), cause as NodeJS.ErrnoException);
  });
  return { status: response.statusCode ?? 0, text: body.toString('utf8') };
}

/** Resolves with the head of a successful answer; its body is still to be read. */
export async function callServer(io: Io, server: ServerOptions, call: Call): Promise<IncomingMessage> {
  const { token, from } = chooseToken(io, call.key, server.tokenFile);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` };
  const response = await send(server, call, { ...authorization, ...call.headers });
  const status = response.statusCode ?? 0;
  if (status < 400) return response;
  throw refusal(status, (await readAll(response)).toString('utf8'), call, from);
}

const addressOf = (server: ServerOptions, call: Call): string =>
  call.key === 'inference' ? server.inference : server.management;

function send(server: ServerOptions, call: Call, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
  const { ca, signal } = server;
  const address = addressOf(server, call);
  const target = parseTarget(address);
  const options = {
    ...target.options,
    method: call.method,
    path: call.path,
    headers: {
      connection: 'close',
      ...(call.body instanceof Uint8Array && { 'content-length': call.body.length }),
      ...headers,
    },
    ...(ca !== undefined && { ca: readAuthority(ca) }),
    ...(signal !== undefined && { signal }),
  };
  return new Promise((resolve, reject) => {
    const request = (target.isTls ? httpsRequest : httpRequest)(options, resolve);
    request.on('error', (cause) => reject(unreachable(address, cause)));
    if (call.body === undefined || call.body instanceof Uint8Array) return request.end(call.body);
    call.body.on('error', reject);
    return call.body.pipe(request);
  });
}

function readAuthority(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Fault('usage', `Cannot read --ca ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Throws `usage`. */
export function parseTarget(address: string): {
  readonly isTls: boolean;
  readonly options: { readonly socketPath: string } | { readonly host: string; readonly port: number };
} {
  if (/^unix:\//.test(address)) return { isTls: false, options: { socketPath: address.slice('unix:'.length) } };
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.search !== '') {
    throw new Fault(
      'usage',
      `Not a server address: ${address}. Write http://host:port, https://host:port or unix:/path.`,
    );
  }
  const isTls = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { isTls, options: { host, port: Number(url.port || (isTls ? 443 : 80)) } };
}

function unreachable(address: string, cause: NodeJS.ErrnoException): Fault {
  const text =
    cause.code === 'ECONNREFUSED' || cause.code === 'ENOENT'
      ? `Nothing answers at ${address}. Is the server running? Start it with: davy serve --model-store DIR --models all`
      : `Cannot talk to ${address}: ${cause.message}`;
  return new Fault('server_unreachable', text, { cause });
}

/** What the server said, and what to do about it. `text` comes from a server that we need not trust. */
export function refusal(status: number, text: string, call: Call, tokenFrom: string): Fault {
  const { type, message } = parseError(text);
  const said = `The server refused (${status}${type === '' ? '' : ` ${printable(type)}`}): ${printable(message)}`;
  return new Fault('server_refused', [said, ...remedy({ status, type, message }, call, tokenFrom)].join('\n'));
}

interface Refusal {
  readonly status: number;
  readonly type: string;
  readonly message: string;
}

function remedy({ status, type, message }: Refusal, call: Call, tokenFrom: string): readonly string[] {
  if (type === 'InvalidKeyException' || status === 401 || status === 403) {
    return [
      `The ${call.key} key was looked for in ${tokenFrom}. Run this in the server's working directory, or give --token-file`,
      'PATH or DAVY_TOKEN. Keys expire after an hour: davy token rotate inference (or management) makes a new one.',
    ];
  }
  const isModelApi = call.path.startsWith('/models') && (call.method === 'POST' || call.method === 'DELETE');
  if (status === 405 && isModelApi) {
    return ['Registering and unregistering is off: start the server with --enable-model-api.'];
  }
  if (type === 'DownloadArchiveException') {
    return ['Why the download failed is in the server’s log: look for AUDIT refused admit_model.'];
  }
  if (message.startsWith('Failed to start workers')) {
    return ['Why is in the server’s log: look for "could not load the model" and "could not be started".'];
  }
  if (type === 'ModelNotFoundException' && message.includes('allowed URL')) {
    return [
      'Add the place to allowed_urls in the server’s config.properties and start it again, for example:',
      '  allowed_urls=https://models.example.com/.*',
    ];
  }
  return [];
}

function parseError(text: string): { readonly type: string; readonly message: string } {
  try {
    const json = JSON.parse(text) as Record<string, unknown>;
    return { type: String(json['type'] ?? ''), message: String(json['message'] ?? json['error'] ?? text) };
  } catch {
    return { type: '', message: text.trim() === '' ? '(no explanation)' : text.trim() };
  }
}

/** Bound on what is kept in memory; the largest honest answer is a describe of hundreds of workers. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Fault('server_refused', 'The answer is larger than 64 MB; giving up.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

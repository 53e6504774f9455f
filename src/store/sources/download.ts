// Fetches one archive from an allowed URL: the address that was checked is the address that is connected to.
import { lookup as systemLookup } from 'node:dns/promises';
import type { FileHandle } from 'node:fs/promises';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { Fault } from '../../kernel/index.ts';
import { classifyAddress } from './address-policy.ts';
import type { RemoteFile } from './s3.ts';

export interface DownloadOptions {
  /** Bytes of the archive. */
  readonly maxBytes: number;
  /** Silence on the connection, its making included. */
  readonly idleTimeoutMs: number;
  /** The whole download. */
  readonly totalTimeoutMs: number;
  /** Resolver; called once for each download. */
  readonly lookup: (hostname: string) => Promise<readonly { readonly address: string }[]>;
  /** PEM certificates to trust instead of the system's. */
  readonly ca?: string | undefined;
}

const GIB = 1024 ** 3;

export const DEFAULT_DOWNLOAD_OPTIONS: DownloadOptions = {
  // As large as the largest single file of an archive may be.
  maxBytes: 64 * GIB,
  idleTimeoutMs: 30_000,
  // An hour at 20 MB/s moves the largest archive that is allowed.
  totalTimeoutMs: 3_600_000,
  lookup: (hostname) => systemLookup(hostname, { all: true, order: 'verbatim' }),
};

/** Writes the body to `target` from its start; `shown` is the URL for messages. Throws `download_failed`, or `cancelled` when `signal` fires. */
export async function download(
  { url, isLiteralHost, headers }: RemoteFile,
  shown: string,
  target: FileHandle,
  options: DownloadOptions,
  signal: AbortSignal,
): Promise<void> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(options.totalTimeoutMs)]);
  try {
    const address = await withAbort(checkedAddress(url, isLiteralHost, options), deadline);
    const response = await open(url, address, headers, options, deadline);
    await save(response, target, options.maxBytes);
  } catch (cause) {
    if (signal.aborted) throw new Fault('cancelled', 'The request was cancelled.', { cause });
    throw new Fault('download_failed', `Failed to download archive from: ${shown}`, { cause });
  }
}

/** One address. All that the name resolves to must pass, so that a mixed answer is no lottery. */
async function checkedAddress(url: URL, isLiteralHost: boolean, options: DownloadOptions): Promise<string> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isAddress = isIP(host) !== 0;
  const addresses = isAddress ? [host] : (await options.lookup(host)).map(({ address }) => address);
  if (addresses.length === 0) throw new Error(`no address for ${host}`);
  for (const address of addresses) {
    if (isIP(address) === 0) throw new Error(`no address: ${address}`);
    const kind = classifyAddress(address);
    // A name may be pointed anywhere by whoever runs its zone; only an address in the entry itself opens metadata services.
    const isOpen = kind === 'public' || (isLiteralHost && (kind === 'internal' || isAddress));
    if (!isOpen) throw new Error(`${host} resolves to ${address}, which is ${kind}`);
  }
  return addresses[0]!;
}

function open(
  url: URL,
  address: string,
  headers: Readonly<Record<string, string>>,
  options: DownloadOptions,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const isTls = url.protocol === 'https:';
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (isTls ? requestHttps : requestHttp)({
    host: address,
    port: url.port === '' ? (isTls ? 443 : 80) : Number(url.port),
    path: url.pathname + url.search,
    setHost: false,
    // Nothing of ours goes along but a signature for object storage: no cookies, no reused connection.
    headers: {
      ...headers,
      host: url.host,
      accept: '*/*',
      'accept-encoding': 'identity',
      'user-agent': 'davy',
      connection: 'close',
    },
    agent: false,
    signal,
    // The certificate must be the name's, though the address is what we connect to.
    ...(isTls && isIP(hostname) === 0 ? { servername: hostname } : {}),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  request.setTimeout(options.idleTimeoutMs, () => request.destroy(new Error('connection idle for too long')));
  request.on('error', reject);
  request.on('response', (response) => {
    // Redirects are answers like any other that is not 200: the entry allowed this URL and no other.
    if (response.statusCode === 200) return resolve(response);
    response.destroy();
    reject(new Error(`HTTP status ${response.statusCode}`));
  });
  request.end();
  return promise;
}

async function save(response: IncomingMessage, target: FileHandle, maxBytes: number): Promise<void> {
  try {
    const encoding = response.headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') throw new Error(`unexpected content encoding ${encoding}`);
    if (Number(response.headers['content-length'] ?? 0) > maxBytes) throw new Error('larger than allowed');
    let size = 0;
    for await (const piece of response as AsyncIterable<Buffer>) {
      if (size + piece.length > maxBytes) throw new Error('larger than allowed');
      await writeFully(target, piece, size);
      size += piece.length;
    }
    if (!response.complete) throw new Error('connection closed before the end');
  } finally {
    response.destroy();
  }
}

async function writeFully(target: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await target.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
}

/** A resolver cannot be aborted; its answer can be ignored. */
async function withAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

// One HTTP exchange with a scanner service the operator named: no redirects, no shared connections, a bounded answer.
import { once } from 'node:events';
import { connect } from 'node:net';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface ServiceCall {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body?: AsyncIterable<Uint8Array>;
}

export interface ServiceAnswer {
  readonly status: number;
  readonly text: string;
}

/** Verdicts are short; a full VirusTotal report has about 100 KB. */
const MAX_ANSWER_BYTES = 1024 * 1024;

export async function callService(
  { method, url, headers, body }: ServiceCall,
  signal: AbortSignal,
): Promise<ServiceAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    method,
    headers: { accept: 'application/json', 'user-agent': 'davy', connection: 'close', ...headers },
    agent: false,
    signal,
  });
  request.on('response', resolve).on('error', reject);
  try {
    if (body !== undefined) await sendBody(request, body, promise);
    request.end();
    const response = await promise;
    return { status: response.statusCode ?? 0, text: await readAll(response) };
  } finally {
    request.destroy();
  }
}

/** Resolves when something accepts connections there. */
export async function reach({ hostname, port, protocol }: URL, signal: AbortSignal): Promise<void> {
  const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: number });
  try {
    await once(socket, 'connect', { signal });
  } finally {
    // A socket that fails later than anybody looks must not end the process.
    socket.on('error', () => {}).destroy();
  }
}

/** Ends early when the service answers, or goes away, before it has everything. */
async function sendBody(
  request: ReturnType<typeof requestHttp>,
  body: AsyncIterable<Uint8Array>,
  response: Promise<unknown>,
): Promise<void> {
  let isOver = false;
  const over = response.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  for await (const piece of body) {
    if (isOver) return;
    if (request.write(piece)) continue;
    const drained = Promise.withResolvers<void>();
    request.once('drain', drained.resolve);
    await Promise.race([drained.promise, over]);
    request.off('drain', drained.resolve);
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MAX_ANSWER_BYTES) throw new Error('The answer is too large.');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

// One HTTP exchange as a raw client sees it: the status line's phrase, headers in order and spelling, and every chunk.
import { request, type Agent, type IncomingHttpHeaders } from 'node:http';

export interface ExchangeOptions {
  readonly method?: string;
  /** Sent in this spelling. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly agent?: Agent;
  readonly signal?: AbortSignal;
}

export interface Exchanged {
  readonly status: number;
  /** The reason phrase on the status line. */
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  /** Pieces of the body as they arrived: one for each chunk when the peer sends them one by one. */
  readonly pieces: readonly Buffer[];
  readonly bytes: Buffer;
  readonly text: string;
  /** The body as JSON. */
  json<T = unknown>(): T;
}

/** Every exchange has a connection of its own unless an agent is given. Follows nothing and retries nothing. */
export function exchange(url: string, options: ExchangeOptions = {}): Promise<Exchanged> {
  const { method = 'GET', headers = {}, body, agent = false, signal } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent, ...(signal && { signal }) }, (incoming) => {
      const pieces: Buffer[] = [];
      incoming.on('data', (piece: Buffer) => pieces.push(piece));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const bytes = Buffer.concat(pieces);
        resolve({
          status: incoming.statusCode ?? 0,
          reason: incoming.statusMessage ?? '',
          headers: incoming.headers,
          pieces,
          bytes,
          text: bytes.toString('utf8'),
          json: <T>() => JSON.parse(bytes.toString('utf8')) as T,
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export interface FormField {
  readonly name: string;
  readonly value: string | Uint8Array;
  readonly filename?: string;
  readonly type?: string;
}

/** A multipart body as curl -F writes it. */
export function multipart(fields: readonly FormField[]): { headers: Record<string, string>; body: Buffer } {
  const boundary = 'form-boundary-7d83a1';
  const pieces = fields.flatMap(({ name, value, filename, type }) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    const typed = type === undefined ? '' : `Content-Type: ${type}\r\n`;
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${typed}\r\n`;
    return [Buffer.from(head), Buffer.from(value), Buffer.from('\r\n')];
  });
  return {
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]),
  };
}

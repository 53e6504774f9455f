// A web server on the loopback that remembers who asked it for what.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Recorder {
  readonly port: number;
  /** Paths that were asked for. */
  readonly hits: string[];
  /** Authorization headers that were seen. */
  readonly credentials: string[];
  close(): Promise<void>;
}

type Answer = { readonly status: number; readonly body: string | Buffer; readonly location?: string };

export async function record(answer: (path: string) => Answer): Promise<Recorder> {
  const hits: string[] = [];
  const credentials: string[] = [];
  const server: Server = createServer(({ url = '', headers }, response) => {
    hits.push(url);
    if (headers.authorization !== undefined) credentials.push(headers.authorization);
    const { status, body, location } = answer(url);
    response.writeHead(status, location === undefined ? {} : { location }).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    hits,
    credentials,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

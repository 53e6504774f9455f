import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { callJson } from './client.ts';

test('a call that a server takes and does not answer to the end is given up on request', async () => {
  const io = {
    stdin: Readable.from([]),
    stdout: { write: () => true },
    stderr: { write: () => true },
    env: {},
    cwd: '/',
  };
  for (const answer of ['', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{']) {
    const giveUp = new AbortController();
    const server = createServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.write(answer, () => setImmediate(() => giveUp.abort())));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const calling = callJson(
      io,
      { inference: address, management: address, signal: giveUp.signal },
      { method: 'GET', path: '/ping', key: 'inference' },
    );
    await assert.rejects(calling, { code: 'server_unreachable' }, answer);
    server.close();
  }
});

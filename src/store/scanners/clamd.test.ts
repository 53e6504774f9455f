import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { memoryAccess } from '../../archive/index.ts';
import type { StoredFile } from '../models/quarantine.ts';
import { createClamd, parseReply } from './clamd.ts';
import type { ScanVerdict } from './scanner.ts';

const fileOf = (bytes: Uint8Array): StoredFile => ({
  name: 'weights.bin',
  path: '/nowhere',
  size: bytes.length,
  open: async () => ({ ...memoryAccess(bytes), [Symbol.asyncDispose]: async () => {} }),
});

/** What a fake clamd does with one connection; it gets every byte that arrives. */
type Script = (socket: Socket, received: Buffer) => void;

async function scanWith(script: Script, bytes: Uint8Array, signal = AbortSignal.timeout(10_000)): Promise<ScanVerdict> {
  const dir = await mkdtemp(join(tmpdir(), 'davy-clamd-'));
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let received: Buffer = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (piece: Buffer) => {
      received = Buffer.concat([received, piece]);
      script(socket, received);
    });
  }).listen(join(dir, 'socket'));
  await once(server, 'listening');
  try {
    return await createClamd({ address: { path: join(dir, 'socket') }, maxBytes: 2 ** 30 }).scan(fileOf(bytes), signal);
  } finally {
    server.close();
    await rm(dir, { recursive: true, force: true });
  }
}

test('clamd in working order says its version, and nothing else is taken for it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'davy-clamd-'));
  const path = join(dir, 'socket');
  const greeting = (): Promise<string> =>
    createClamd({ address: { path }, maxBytes: 1 }).greet(AbortSignal.timeout(10_000));
  const replies = ['ClamAV 1.4.6/27000/Fri Nov 20 09:00:00 2026\0', 'UNKNOWN COMMAND\0', '', 'ClamAV \x1b[2J\0'];
  const asked: string[] = [];
  const server = createServer((socket) => {
    socket.on('data', (piece: Buffer) => {
      asked.push(piece.toString());
      socket.end(replies.shift() ?? '');
    });
  });
  try {
    await assert.rejects(greeting(), { code: 'ENOENT' });
    await once(server.listen(path), 'listening');
    assert.equal(await greeting(), 'ClamAV 1.4.6/27000/Fri Nov 20 09:00:00 2026');
    for (let left = replies.length; left > 0; left -= 1) await assert.rejects(greeting(), /not clamd/);
    assert.deepEqual(new Set(asked), new Set(['zVERSION\0']));
  } finally {
    server.close();
    await rm(dir, { recursive: true, force: true });
  }
});

const isWhole = (received: Buffer): boolean => received.subarray(-4).equals(Buffer.alloc(4));

/** The content of the chunks of an INSTREAM session. */
function contentOf(received: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 'zINSTREAM\0'.length; ;) {
    const length = received.readUInt32BE(at);
    if (length === 0) return Buffer.concat(pieces);
    pieces.push(received.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
}

test('clamd gets the command, the whole file in chunks and an end', async () => {
  const bytes = Buffer.alloc(700_000, 'model');
  let content: Buffer | undefined;
  const verdict = await scanWith((socket, received) => {
    if (received.length < bytes.length || !isWhole(received)) return;
    assert.equal(received.subarray(0, 10).toString(), 'zINSTREAM\0');
    content = contentOf(received);
    socket.end('stream: OK\0');
  }, bytes);
  assert.deepEqual(verdict, { kind: 'clean' });
  assert.ok(content?.equals(bytes));
});

test('only the exact OK to the whole file is clean', () => {
  assert.deepEqual(parseReply('stream: OK\0', true), { kind: 'clean' });
  assert.deepEqual(parseReply('stream: Win.Test.EICAR_HDB-1 FOUND\0', true), {
    kind: 'malicious',
    what: 'Win.Test.EICAR_HDB-1',
  });
  // A detection counts, however little clamd had to see.
  assert.equal(parseReply('stream: X FOUND\0', false).kind, 'malicious');
  const others = [
    '', '\0', 'OK\0', 'stream: OK', 'stream: OK\n', 'stream: ok\0', 'stream: OK \0', ' stream: OK\0', 'Stream: OK\0',
    'stream: OK\0\0', 'stream: OK\0stream: X FOUND\0', 'stream: OK\nstream: X FOUND\0', 'stream: FOUND\0', 'X FOUND\0',
    'stream: Can’t allocate memory ERROR\0', 'INSTREAM size limit exceeded. ERROR\0', 'UNKNOWN COMMAND\0', '/x: OK\0',
  ]; // prettier-ignore
  for (const reply of others) assert.equal(parseReply(reply, true).kind, 'unanswered', JSON.stringify(reply));
  assert.equal(parseReply('stream: OK\0', false).kind, 'unanswered');
  fc.assert(
    fc.property(fc.string(), (reply) => {
      assert.ok(reply === 'stream: OK\0' || parseReply(reply, true).kind !== 'clean');
    }),
  );
});

test('a clamd that stops listening half-way is believed in what it said, and never in silence', async () => {
  const bytes = Buffer.alloc(30_000_000, 1);
  const early =
    (reply: string): Script =>
    (socket, received) => {
      if (received.length > 200_000) {
        socket.removeAllListeners('data');
        socket.end(reply, () => socket.destroy());
      }
    };
  assert.equal((await scanWith(early('INSTREAM size limit exceeded. ERROR\0'), bytes)).kind, 'unanswered');
  assert.equal((await scanWith(early('stream: OK\0'), bytes)).kind, 'unanswered');
  assert.equal((await scanWith(early(''), bytes)).kind, 'unanswered');
});

test('a reply without end, and no reply at all, end the scan', async () => {
  await assert.rejects(scanWith((socket) => void socket.write('x'.repeat(10_000)), Buffer.from('x')));
  await assert.rejects(
    scanWith(() => {}, Buffer.from('x'), AbortSignal.timeout(50)),
    /took too long/,
  );
  await assert.rejects(
    createClamd({ address: { path: '/nowhere/socket' }, maxBytes: 9 }).scan(
      fileOf(Buffer.from('x')),
      AbortSignal.timeout(1000),
    ),
    { code: 'ENOENT' },
  );
});

test('a file beyond what clamd looks at is not sent and not clean', async () => {
  const scanner = createClamd({ address: { path: '/nowhere' }, maxBytes: 3 });
  assert.equal((await scanner.scan(fileOf(Buffer.from('four')), AbortSignal.timeout(1000))).kind, 'unanswered');
});

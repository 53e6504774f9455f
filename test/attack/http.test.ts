// Hostile bytes, hostile clients and hostile answers at the HTTP doors.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { KEYS, RawClient, bearer, exchangeRaw, openDoor, reply } from '../support/http-doors.ts';
import { ManualClock } from '../support/manual-clock.ts';

const HOST = 'Host: localhost\r\n';
const AUTH = `Authorization: Bearer ${KEYS.inference}\r\n`;
const POST = `POST /predictions/echo HTTP/1.1\r\n${HOST}${AUTH}`;
const TAIL = `GET /predictions/smuggled HTTP/1.1\r\n${HOST}${AUTH}\r\n`;

describe('ambiguous framing is refused and closed, and nothing behind it is ever read', () => {
  const chunked = '0\r\n\r\n';
  const cases: Record<string, string> = {
    'length and chunks': `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
    'chunks and length': `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${chunked}`,
    'two equal lengths': `${POST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
    'two lengths': `${POST}Content-Length: 0\r\nContent-Length: 40\r\n\r\n`,
    'a list of lengths': `${POST}Content-Length: 0, 0\r\n\r\n`,
    'a signed length': `${POST}Content-Length: +0\r\n\r\n`,
    'an empty length': `${POST}Content-Length: \r\n\r\n`,
    'a huge length': `${POST}Content-Length: 99999999999999999999\r\n\r\n`,
    xchunked: `${POST}Transfer-Encoding: xchunked\r\n\r\n${chunked}`,
    'chunked, identity': `${POST}Transfer-Encoding: chunked, identity\r\n\r\n${chunked}`,
    'gzip, chunked': `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n${chunked}`,
    identity: `${POST}Transfer-Encoding: identity\r\n\r\n`,
    'a vertical tab before chunked': `${POST}Transfer-Encoding:\x0bchunked\r\n\r\n${chunked}`,
    'a blank before the colon': `${POST}Transfer-Encoding : chunked\r\n\r\n${chunked}`,
    'two transfer encodings': `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
    'identity, then chunked': `${POST}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
    'chunks in HTTP/1.0': `POST /predictions/echo HTTP/1.0\r\n${HOST}${AUTH}Transfer-Encoding: chunked\r\n\r\n${chunked}`,
    'a folded line': `${POST}X: a\r\n b\r\n\r\n`,
    'a blank in a name': `${POST}X Y: a\r\n\r\n`,
    'an empty name': `${POST}: a\r\n\r\n`,
    'a NUL in a value': `${POST}X: a\0b\r\n\r\n`,
    'a bare CR in a value': `${POST}X: a\rb\r\n\r\n`,
    'bare line feeds': `POST /predictions/echo HTTP/1.1\nHost: localhost\n${AUTH.trim()}\n\n`,
    'no host': `POST /predictions/echo HTTP/1.1\r\n${AUTH}\r\n`,
    'two hosts': `${POST}${HOST}\r\n`,
    'a foreign host': `POST /predictions/echo HTTP/1.1\r\nHost: evil\r\n${AUTH}\r\n`,
    'two content types': `${POST}Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n`,
    'HTTP/0.9': 'GET /predictions/echo\r\n\r\n',
    'HTTP/1.2': `GET / HTTP/1.2\r\n${HOST}\r\n`,
    'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a TLS hello': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'a lower-case method': `get / HTTP/1.1\r\n${HOST}\r\n`,
    'a NUL in the target': `GET /\0 HTTP/1.1\r\n${HOST}\r\n`,
    'a head that is too large': `${POST}X: ${'a'.repeat(20_000)}\r\n\r\n`,
    'too many header lines': `${POST}${'X: 1\r\n'.repeat(300)}\r\n`,
  };
  for (const [name, bytes] of Object.entries(cases)) {
    test(name, async () => {
      await using door = await openDoor('inference');
      const answer = await exchangeRaw(door.port, bytes + TAIL);
      assert.match(answer, /^HTTP\/1\.1 400 /, answer);
      assert.match(answer, /connection: close/i);
      assert.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer');
      assert.deepEqual(door.plane.requests, []);
    });
  }

  for (const [name, tail] of Object.entries({
    'a chunk size with a prefix': '0x1\r\na\r\n0\r\n\r\n',
    'a chunk longer than it says': '1\r\nab\r\n0\r\n\r\n',
    'a chunk without a line end': '1\na\n0\n\n',
    'a negative chunk': '-1\r\na\r\n0\r\n\r\n',
  })) {
    test(name, async () => {
      await using door = await openDoor('inference');
      const answer = await exchangeRaw(door.port, `${POST}Transfer-Encoding: chunked\r\n\r\n${tail}${TAIL}`);
      assert.match(answer, /^HTTP\/1\.1 400 [^]*Invalid HTTP message\./);
      assert.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer');
      assert.deepEqual(door.plane.requests, []);
    });
  }

  test('while a plain request passes', async () => {
    await using door = await openDoor('inference');
    const answer = await exchangeRaw(door.port, `${POST}Content-Length: 2\r\nConnection: close\r\n\r\nhi`);
    assert.match(answer, /^HTTP\/1\.1 200 \r\n[^]*\r\n\r\nhi$/);
  });
});

describe('one answer to each request, on its own connection', () => {
  test('pipelined requests are answered in the order they were sent, whichever is ready first', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = () => undefined;
    using client = new RawClient(door.port);
    client.write(
      `GET /predictions/slow HTTP/1.1\r\n${HOST}${AUTH}\r\nGET /predictions/fast HTTP/1.1\r\n${HOST}${AUTH}\r\n`,
    );
    await waitFor(() => door.plane.outlets.length === 2);
    door.plane.outlets[1]?.send(reply('FAST'), true);
    await pause(20);
    assert.equal(client.text, '');
    door.plane.outlets[0]?.send(reply('SLOW'), true);
    const text = await client.until(/FAST/);
    assert.ok(text.indexOf('SLOW') < text.indexOf('FAST'));
    assert.ok(text.indexOf(door.plane.requests[0]?.requestId ?? '?') < text.indexOf('SLOW'));
  });

  test('garbage behind a request does not answer in its place', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = () => undefined;
    using client = new RawClient(door.port);
    client.write(`GET /predictions/slow HTTP/1.1\r\n${HOST}${AUTH}\r\n\x16\x03garbage\r\n\r\n`);
    await waitFor(() => door.plane.outlets.length === 1);
    await pause(20);
    assert.equal(client.text, '');
    door.plane.outlets[0]?.send(reply('SLOW'), true);
    await client.closed;
    assert.match(client.text, /^HTTP\/1\.1 200 [^]*connection: close[^]*SLOW$/);
  });

  test('a data path that answers twice, or throws after answering, is heard once', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = (_request, outlet) => {
      outlet.send(reply('first'), true);
      outlet.send(reply('second'), true);
      outlet.fail(new Error('third') as never);
      throw new Error('fourth');
    };
    const answer = await exchangeRaw(door.port, `${POST}Connection: close\r\n\r\n`);
    assert.match(answer, /\r\n\r\nfirst$/);
    assert.equal(door.access.length, 1);
  });

  test('an unexpected error shows the client nothing of itself, and the operator everything', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = () => {
      throw new TypeError('/secret/path is not a function');
    };
    const answer = await exchangeRaw(door.port, `${POST}\r\n`);
    assert.match(answer, /^HTTP\/1\.1 500 /);
    assert.doesNotMatch(answer, /secret|TypeError/);
    assert.ok(door.notices[0]?.cause instanceof TypeError);
  });

  test('a stream that fails is cut, not ended', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = (_request, outlet) => outlet.send(reply('piece'), false);
    using client = new RawClient(door.port);
    client.write(`${POST}\r\n`);
    await client.until(/piece/);
    const { Fault } = await import('../../src/kernel/index.ts');
    door.plane.outlets[0]?.fail(new Fault('worker_died', 'Worker died.'));
    await client.closed;
    assert.match(client.text, /transfer-encoding: chunked/i);
    assert.doesNotMatch(client.text, /\r\n0\r\n\r\n$/);
    assert.doesNotMatch(client.text, /Worker died/);
  });

  test('a client that goes away cancels its work, queued or streaming', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = (request, outlet) => void (request.model === 'stream' && outlet.send(reply('x'), false));
    for (const model of ['queued', 'stream']) {
      using client = new RawClient(door.port);
      client.write(`GET /predictions/${model} HTTP/1.1\r\n${HOST}${AUTH}\r\n`);
      await waitFor(() => door.plane.requests.at(-1)?.model === model);
      client.socket.destroy();
      await waitFor(() => door.plane.cancelled === door.plane.requests.length);
    }
    assert.deepEqual(
      door.access.map(({ status }) => status),
      [499, 200],
    );
  });
});

describe('a hostile handler', () => {
  test('cannot break out of its headers, lie about the length, or end in a bad status', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = (_request, outlet) =>
      outlet.send(
        reply('body', {
          phrase: 'OK\r\nX: 1',
          headers: [
            ['X', 'a\r\nSet-Cookie: b'],
            ['Content-Length', '9999'],
            ['Transfer-Encoding', 'chunked'],
            ['Connection', 'upgrade'],
            ['x-request-id', 'forged'],
            ['Dummy', '1'],
          ],
        }),
        true,
      );
    const answer = await exchangeRaw(door.port, `${POST}Connection: close\r\n\r\n`);
    assert.doesNotMatch(answer, /Set-Cookie|9999|chunked|upgrade|forged|\r\nX:/i);
    assert.match(answer, /content-length: 4\r\nDummy: 1\r\n\r\nbody$/);
    for (const status of [0, 99, 100, 101, 199, 600, 99_999, 200.5, Number.NaN]) {
      door.plane.answer = (_request, outlet) => outlet.send(reply('x', { status }), true);
      assert.match(await exchangeRaw(door.port, `${POST}\r\n`), /^HTTP\/1\.1 500 /, String(status));
    }
  });

  test('that answers 204 leaves the connection in step', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = ({ model }, outlet) =>
      outlet.send(reply(model, { status: model === 'empty' ? 204 : 200 }), true);
    const one = `GET /predictions/empty HTTP/1.1\r\n${HOST}${AUTH}\r\n`;
    const answer = await exchangeRaw(
      door.port,
      `${one}GET /predictions/next HTTP/1.1\r\n${HOST}${AUTH}Connection: close\r\n\r\n`,
    );
    assert.match(answer, /^HTTP\/1\.1 204 (?:(?!content-length|HTTP)[^])*\r\n\r\nHTTP\/1\.1 200 [^]*\r\n\r\nnext$/i);
  });
});

describe('limits', () => {
  test('a body one byte too large is 413 without a body, announced or counted', async () => {
    await using door = await openDoor('inference', { options: { maxRequestBytes: 10 } });
    const announced = await exchangeRaw(door.port, `${POST}Content-Length: 11\r\n\r\n12345678901`);
    assert.match(announced, /^HTTP\/1\.1 413 [^]*content-length: 0\r\nconnection: close\r\n\r\n$/);
    const counted = await exchangeRaw(
      door.port,
      `${POST}Transfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n`,
    );
    assert.match(counted, /^HTTP\/1\.1 413 /);
    const exact = await exchangeRaw(door.port, `${POST}Content-Length: 10\r\nConnection: close\r\n\r\n1234567890`);
    assert.match(exact, /^HTTP\/1\.1 200 /);
    assert.equal(door.plane.requests.length, 1);
  });

  test('100-continue is given to those who may send, and the refusal comes instead to the others', async () => {
    await using door = await openDoor('inference', { options: { maxRequestBytes: 10 } });
    const expect = 'Expect: 100-continue\r\n';
    assert.match(await exchangeRaw(door.port, `${POST}${expect}Content-Length: 11\r\n\r\n`), /^HTTP\/1\.1 413 /);
    const keyless = `POST /predictions/echo HTTP/1.1\r\n${HOST}${expect}Content-Length: 5\r\n\r\n`;
    assert.match(await exchangeRaw(door.port, keyless), /^HTTP\/1\.1 400 [^]*Token Authorization failed/);
    using client = new RawClient(door.port);
    client.write(`${POST}${expect}Content-Length: 5\r\n\r\n`);
    assert.equal(await client.until(/100/), 'HTTP/1.1 100 Continue\r\n\r\n');
    client.write('hello');
    assert.match(await client.until(/hello/), /HTTP\/1\.1 200 [^]*hello$/);
  });

  test('a client still sending when it is refused reads the refusal, not a reset', async () => {
    await using door = await openDoor('inference');
    const body = 'x'.repeat(6_000_000);
    const answer = await fetch(`http://127.0.0.1:${door.port}/predictions/echo`, {
      method: 'POST',
      body,
      headers: bearer('wrong'),
    });
    assert.equal(answer.status, 400);
    const tooLarge = await fetch(`http://127.0.0.1:${door.port}/predictions/echo`, {
      method: 'POST',
      body: body + body,
      headers: bearer(KEYS.inference),
    });
    assert.equal(tooLarge.status, 413);
  });

  test('all bodies together stay under one bound, and the room comes back', async () => {
    await using door = await openDoor('inference', { options: { maxBufferedBytes: 1000 } });
    door.plane.answer = () => undefined;
    const whole = `${POST}Content-Length: 600\r\n\r\n${'x'.repeat(600)}`;
    using first = new RawClient(door.port);
    first.write(whole);
    await waitFor(() => door.plane.requests.length === 1);
    assert.match(await exchangeRaw(door.port, whole), /^HTTP\/1\.1 503 /);
    first.socket.destroy();
    await waitFor(() => door.access.length === 2);
    using second = new RawClient(door.port);
    second.write(whole);
    await waitFor(() => door.plane.requests.length === 2);
  });

  test('a head or a body that trickles in is cut at its deadline while others are served', async () => {
    const limits = { headersTimeoutMs: 200, requestTimeoutMs: 300, checkEveryMs: 50 };
    await using door = await openDoor('inference', { limits });
    const silent = exchangeRaw(door.port, '');
    const slowHead = exchangeRaw(door.port, 'POST /predictions/echo HT');
    const slowBody = exchangeRaw(door.port, `${POST}Content-Length: 10\r\n\r\n12345`);
    const canary = await exchangeRaw(door.port, `${POST}Connection: close\r\n\r\n`);
    assert.match(canary, /^HTTP\/1\.1 200 /);
    assert.match(await slowHead, /^HTTP\/1\.1 408 /);
    assert.match(await slowBody, /^HTTP\/1\.1 408 /);
    await silent;
    assert.equal(door.plane.requests.length, 1);
    await waitFor(() => door.listener.connectionCount === 0);
  });

  test('a slow answer is not cut by the deadlines of the request', async () => {
    await using door = await openDoor('inference', {
      limits: { headersTimeoutMs: 100, requestTimeoutMs: 100, idleTimeoutMs: 100 },
    });
    door.plane.answer = (_request, outlet) => void setTimeout(() => outlet.send(reply('late'), true), 400);
    const answer = await exchangeRaw(door.port, `${POST}Connection: close\r\n\r\n`);
    assert.match(answer, /late$/);
  });

  test('an idle connection is closed', async () => {
    await using door = await openDoor('inference', { limits: { idleTimeoutMs: 50 } });
    using client = new RawClient(door.port);
    client.write(`${POST}\r\n`);
    await client.closed;
    assert.match(client.text, /^HTTP\/1\.1 200 /);
  });

  test('a reader that takes nothing is cut', async () => {
    await using door = await openDoor('inference', { options: { writeTimeoutMs: 150 } });
    const large = Buffer.alloc(30_000_000);
    door.plane.answer = (_request, outlet) => outlet.send(reply('', { body: [large], bytes: large.length }), true);
    using client = new RawClient(door.port);
    client.socket.pause();
    client.write(`${POST}\r\n`);
    await waitFor(() => door.access.length === 1, 3000);
  });

  test('a reader that takes a little now and then is cut as well', async () => {
    const clock = new ManualClock();
    await using door = await openDoor('inference', { clock });
    const large = Buffer.alloc(30_000_000);
    door.plane.answer = (_request, outlet) => outlet.send(reply('', { body: [large], bytes: large.length }), true);
    using client = new RawClient(door.port);
    client.socket.pause();
    client.write(`${POST}\r\n`);
    await waitFor(() => door.plane.requests.length === 1);
    await pause(50);
    clock.advance(30_000);
    await pause(50);
    assert.equal(door.access.length, 0);
    clock.advance(30_000_000 / 20 + 1000);
    await waitFor(() => door.access.length === 1);
  });

  test('answers nobody reads stay under one bound, which the longest unread leaves first, and the room comes back', async () => {
    await using door = await openDoor('inference', { options: { maxBufferedBytes: 40_000_000 } });
    const bytes = 30_000_000;
    door.plane.answer = (_request, outlet) => outlet.send(reply('', { body: [Buffer.alloc(bytes)], bytes }), true);
    using first = new RawClient(door.port);
    using second = new RawClient(door.port);
    for (const client of [first, second]) {
      client.socket.pause();
      client.write(`${POST}\r\n`);
      await waitFor(() => door.plane.requests.length === (client === first ? 1 : 2));
    }
    await waitFor(() => door.access.length === 1);
    first.socket.destroy();
    assert.equal(door.listener.connectionCount, 1);
    second.socket.destroy();
    await waitFor(() => door.access.length === 2);
    const answer = await fetch(`http://127.0.0.1:${door.port}/predictions/m`, {
      method: 'POST',
      headers: bearer(KEYS.inference),
    });
    assert.equal((await answer.arrayBuffer()).byteLength, bytes);
  });

  test('a stream nobody reads stops being buffered', async () => {
    await using door = await openDoor('inference', { options: { maxStreamBufferBytes: 1_000_000 } });
    door.plane.answer = (_request, outlet) => outlet.send(reply('x'), false);
    using client = new RawClient(door.port);
    client.socket.pause();
    client.write(`${POST}\r\n`);
    await waitFor(() => door.plane.outlets.length === 1);
    const piece = Buffer.alloc(1_000_000);
    for (let n = 0; n < 40 && door.plane.cancelled === 0; n += 1) {
      door.plane.outlets[0]?.send(reply('', { body: [piece], bytes: piece.length }), false);
      await pause(1);
    }
    await waitFor(() => door.plane.cancelled === 1);
  });

  test('a full listener makes room for others where one source holds idle connections', async () => {
    await using door = await openDoor('inference', { limits: { maxConnections: 20 } });
    const hold = (localAddress: string): Socket => {
      const socket = connect({ port: door.port, host: '127.0.0.1', localAddress });
      return socket.on('error', () => undefined).resume();
    };
    const greedy = Array.from({ length: 20 }, () => hold('127.0.0.2'));
    await waitFor(() => door.listener.connectionCount === 20);
    for (let at = 0; at < 5; at += 1) {
      assert.match(await exchangeRaw(door.port, `${POST}Connection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
    }
    for (const socket of greedy) socket.destroy();
  });

  test('connections are capped in all and for one source', async () => {
    await using door = await openDoor('inference', { limits: { maxConnectionsPerSource: 2 } });
    using first = new RawClient(door.port);
    using second = new RawClient(door.port);
    first.write(`${POST}\r\n`);
    second.write(`${POST}\r\n`);
    await Promise.all([first.until(/200/), second.until(/200/)]);
    assert.equal(await exchangeRaw(door.port, `${POST}\r\n`), '');
    first.socket.destroy();
    await waitFor(() => door.listener.connectionCount === 1);
    assert.match(await exchangeRaw(door.port, `${POST}Connection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
  });
});

describe('what a request may not do', () => {
  test('compressed bodies are refused, however they are wrapped', async () => {
    await using door = await openDoor('inference');
    for (const encoding of ['gzip', 'br', 'gzip, gzip', 'identity, gzip', 'GZIP']) {
      const answer = await exchangeRaw(
        door.port,
        `${POST}Content-Encoding: ${encoding}\r\nContent-Length: 2\r\n\r\nab`,
      );
      assert.match(answer, /^HTTP\/1\.1 415 /, encoding);
    }
    assert.deepEqual(door.plane.requests, []);
  });

  test('an upgrade is not taken up and passes no gate', async () => {
    await using door = await openDoor('inference');
    const upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
    const keyless = await exchangeRaw(door.port, `GET /predictions/echo HTTP/1.1\r\n${HOST}${upgrade}\r\n`);
    assert.match(keyless, /^HTTP\/1\.1 400 [^]*InvalidKeyException/);
    using client = new RawClient(door.port);
    client.write(`GET /predictions/echo HTTP/1.1\r\n${HOST}${AUTH}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n`);
    assert.match(await client.until(/\r\n\r\n/), /^HTTP\/1\.1 200 /);
    assert.match(await exchangeRaw(door.port, `CONNECT a:1 HTTP/1.1\r\n${HOST}\r\n`), /^(HTTP\/1\.1 4.*)?$/s);
  });

  test('two keys, or a list of keys, are no key', async () => {
    await using door = await openDoor('inference');
    const bad = 'Authorization: Bearer bad\r\n';
    for (const headers of [
      AUTH + bad,
      bad + AUTH,
      AUTH + AUTH,
      `Authorization: Bearer bad, Bearer ${KEYS.inference}\r\n`,
    ]) {
      const answer = await exchangeRaw(door.port, `POST /predictions/echo HTTP/1.1\r\n${HOST}${headers}\r\n`);
      assert.match(answer, /^HTTP\/1\.1 400 [^]*InvalidKeyException/, headers);
    }
    assert.deepEqual(door.plane.requests, []);
  });

  test('a method is never overridden', async () => {
    await using door = await openDoor('management', {
      management: { describe: async () => [{ modelName: 'a' }] },
      options: { isModelApiEnabled: true },
    });
    const answer = await fetch(`http://127.0.0.1:${door.port}/models/a?_method=DELETE`, {
      headers: { ...bearer(KEYS.management), 'X-HTTP-Method-Override': 'DELETE' },
    });
    assert.deepEqual(await answer.json(), [{ modelName: 'a' }]);
  });

  test('only the exact path rotates a key, only with its key, and never by HEAD', async () => {
    await using door = await openDoor('management', { management: { describe: async () => [] } });
    const url = `http://127.0.0.1:${door.port}`;
    const get = (path: string, key: string, method = 'GET') => fetch(url + path, { method, headers: bearer(key) });
    assert.equal((await get('/models/tokenizer?type=management', KEYS.API)).status, 400);
    assert.equal((await get('/models/tokenizer?type=management', KEYS.management)).status, 200);
    assert.equal((await get('/token?type=management', KEYS.management)).status, 400);
    assert.equal((await get('/token?type=management', KEYS.API, 'HEAD')).status, 405);
    assert.deepEqual(door.rotated, []);
    assert.equal((await get('/token?type=management', KEYS.API)).status, 200);
    assert.deepEqual(door.rotated, ['management']);
  });

  test('a page of another origin changes nothing, even where no key is asked for', async () => {
    const register = async () => ({ status: 200, message: 'registered' }) as const;
    const management = { register, list: () => ({ models: [] }) };
    await using door = await openDoor('management', {
      isAuthDisabled: true,
      management,
      options: { isModelApiEnabled: true },
    });
    const post = (headers: string) =>
      exchangeRaw(
        door.port,
        `POST /models?url=x HTTP/1.1\r\n${headers}Content-Type: text/plain\r\nConnection: close\r\n\r\n`,
      );
    assert.match(await post(`${HOST}Origin: http://evil\r\n`), /^HTTP\/1\.1 400 /);
    assert.match(await post(`${HOST}Origin: null\r\n`), /^HTTP\/1\.1 400 /);
    assert.match(await post('Host: evil.test\r\nOrigin: http://evil.test\r\n'), /^HTTP\/1\.1 400 /);
    assert.match(await post(`${HOST}Origin: http://localhost\r\n`), /^HTTP\/1\.1 200 /);
    assert.match(await post(HOST), /^HTTP\/1\.1 200 /);
    const answer = await exchangeRaw(
      door.port,
      `GET /models HTTP/1.1\r\n${HOST}Origin: http://evil\r\nConnection: close\r\n\r\n`,
    );
    assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(answer, /access-control/i);
  });

  test('a page whose name was pointed at this machine changes nothing, on whichever address it listens', async () => {
    const register = async () => ({ status: 200, message: 'registered' }) as const;
    await using door = await openDoor('management', {
      isAuthDisabled: true,
      management: { register },
      options: { isModelApiEnabled: true },
      listen: { address: { kind: 'tcp', host: '0.0.0.0', port: 0 }, allowedHosts: ['models.example'] },
    });
    const post = (headers: string) =>
      exchangeRaw(
        door.port,
        `POST /models?url=x HTTP/1.1\r\n${headers}Content-Type: text/plain\r\nConnection: close\r\n\r\n`,
      );
    assert.match(await post('Host: evil.test\r\nOrigin: http://evil.test\r\n'), /^HTTP\/1\.1 400 /);
    assert.match(await post('Host: models.example\r\nOrigin: http://models.example\r\n'), /^HTTP\/1\.1 200 /);
    assert.match(await post('Host: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n'), /^HTTP\/1\.1 200 /);
    assert.match(await post('Host: any.name.test\r\n'), /^HTTP\/1\.1 200 /);
  });

  test('a guesser is slowed down, a good key is not, and headers do not change who is who', async () => {
    await using door = await openDoor('inference');
    const statuses: number[] = [];
    for (let n = 0; n < 25; n += 1) {
      const answer = await exchangeRaw(
        door.port,
        `GET /predictions/m HTTP/1.1\r\n${HOST}X-Forwarded-For: 10.0.0.${n}\r\nAuthorization: Bearer guess${n}\r\n\r\n`,
      );
      statuses.push(Number(answer.slice(9, 12)));
      if (n === 24) assert.match(answer, /retry-after: 3\r\n[^]*InvalidKeyException/i);
    }
    assert.deepEqual([statuses[0], statuses[19], statuses[20], statuses[24]], [400, 400, 429, 429]);
    assert.match(await exchangeRaw(door.port, `${POST}Connection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
    assert.equal(door.audit.filter(({ outcome }) => outcome === 'refused').length, 25);
    assert.ok(!JSON.stringify(door.audit).includes('guess'));
  });

  test('headers of a hundred thousand blanks cost nothing', async () => {
    await using door = await openDoor('inference', { limits: { maxHeaderBytes: 200_000 } });
    const blanks = ' '.repeat(100_000);
    for (const header of [
      `Authorization: Bearer${blanks}x${blanks}y`,
      `Content-Type: multipart/form-data;${blanks}boundary${blanks}`,
    ]) {
      const answer = await exchangeRaw(
        door.port,
        `POST /predictions/m HTTP/1.1\r\n${HOST}${header}\r\nContent-Length: 0\r\n\r\n`,
      );
      assert.match(answer, /^HTTP\/1\.1 400 /);
    }
  });
});

async function waitFor(condition: () => boolean, withinMs = 2000): Promise<void> {
  const end = Date.now() + withinMs;
  while (!condition()) {
    assert.ok(Date.now() < end, `not within ${withinMs} ms: ${condition}`);
    await pause(5);
  }
}

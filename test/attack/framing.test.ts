// Requests whose framing is odd rather than ambiguous, and targets that look like something else. See http.test.ts for the rest.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { exchangeRaw, KEYS, openDoor, RawClient, type OpenDoor } from '../support/http-doors.ts';

const HEAD = `POST /predictions/m HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${KEYS.inference}\r\n`;
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;
const get = (target: string, more = ''): string =>
  `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${more}\r\n`;

describe('a request that is framed oddly', () => {
  let door: OpenDoor;
  before(async () => {
    door = await openDoor('inference', { limits: { headersTimeoutMs: 500, requestTimeoutMs: 500 } });
  });
  after(() => door[Symbol.asyncDispose]());

  const cases: Record<string, readonly [bytes: string, status: number]> = {
    'with a chunk extension': [`${CHUNKED}3;a=b\r\nabc\r\n0\r\n\r\n`, 200],
    'with a chunk extension of 20 KB': [`${CHUNKED}3;${'a'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`, 400],
    'with a chunk extension that ends in a bare line feed': [`${CHUNKED}3;a\nabc\r\n0\r\n\r\n`, 400],
    'with a chunk size of more than 64 bits': [`${CHUNKED}fffffffffffffffff\r\nabc\r\n0\r\n\r\n`, 400],
    'with a chunk of eight exabytes': [`${CHUNKED}7fffffffffffffff\r\nabc\r\n0\r\n\r\n`, 408],
    'with a blank behind the chunk size': [`${CHUNKED}3 \r\nabc\r\n0\r\n\r\n`, 400],
    'with a trailer': [`${CHUNKED}3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n`, 200],
    'with a trailer that names a length': [`${CHUNKED}3\r\nabc\r\n0\r\nContent-Length: 50\r\n\r\n`, 400],
    'with thousands of trailers': [`${CHUNKED}3\r\nabc\r\n0\r\n${'X: y\r\n'.repeat(8000)}\r\n`, 400],
    'with its key in a trailer': [
      `POST /predictions/m HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nAuthorization: Bearer ${KEYS.inference}\r\n\r\n`,
      400,
    ],
    'with an unknown expectation': [`${HEAD}Expect: 200-ok\r\nContent-Length: 0\r\n\r\n`, 417],
    'behind empty lines': [`\r\n\r\n${get('/ping')}`, 200],
    'that wants to be HTTP/2': [get('/ping', 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'), 200],
    'for an authority': [get('localhost:80'), 400],
    'for bytes that are no text': [get('/p\xffing'), 400],
    'for a target of 20 KB': [get(`/${'a'.repeat(20_000)}`), 400],
    'with a body that looks like a request': [
      get('/ping', 'Content-Length: 42\r\n').concat(get('/predictions/m')),
      200,
    ],
  };
  for (const [name, [bytes, status]] of Object.entries(cases)) {
    test(`${name} gets ${status}, once`, async () => {
      const before = door.plane.requests.length;
      const answer = await exchangeRaw(door.port, bytes);
      assert.equal(Number(answer.slice(9, 12)), status, answer);
      assert.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer');
      assert.equal(door.plane.requests.length - before, bytes.startsWith(CHUNKED) && status === 200 ? 1 : 0);
      for (const { headers } of door.plane.requests) assert.ok(headers.every(([header]) => header !== 'X-T'));
    });
  }

  test('that is answered before its body ends, and ends in the middle, leaves no connection behind', async () => {
    await using patient = await openDoor('inference');
    using client = new RawClient(patient.port);
    client.write('POST /ping HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    await client.until(/Healthy/);
    client.socket.end();
    for (let waited = 0; waited < 500 && patient.listener.connectionCount > 0; waited += 1) await pause(10);
    assert.equal(patient.listener.connectionCount, 0);
  });

  test('that asks for a tunnel gets none', async () => {
    for (const target of ['localhost:22', '/ping']) {
      assert.equal(await exchangeRaw(door.port, `CONNECT ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`), '');
    }
  });
});

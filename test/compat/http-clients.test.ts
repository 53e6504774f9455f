// Clients as they are (surface spec 2.3, 2.4, 2.7, 2.10): old and new HTTP/1, fetch, chunked uploads, and bytes by hand.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe } from 'node:test';
import { gzipSync } from 'node:zlib';
import { errorBody } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { exchange } from '../support/http-exchange.ts';
import type { TestStore } from '../support/model-store.ts';
import { ECHO, PROBE, type Probed } from '../support/probe-handlers.ts';
import { portOf } from '../support/real-server.ts';
import { PIECES } from '../support/streaming-handlers.ts';
import { behaviour } from './behaviour.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const hex = (text: string): string => Buffer.from(text).toString('hex');

const fill = (store: TestStore): void => {
  store.add('probe', PROBE);
  store.add('echo', ECHO);
  store.add('pieces', PIECES);
};

describeWithServer('HTTP clients', fill, { models: ['probe', 'echo', 'pieces'] }, (suite) => {
  const host = (): string => new URL(suite.server.inference).host;
  const open = async (): Promise<Socket> => {
    const socket = connect(portOf(suite.server.inference), '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
  /** Everything until the server closes. */
  const rest = async (socket: Socket): Promise<string> => {
    const pieces: Buffer[] = [];
    for await (const piece of socket) pieces.push(piece as Buffer);
    return Buffer.concat(pieces).toString('latin1');
  };
  const send = async (bytes: string): Promise<string> => {
    const socket = await open();
    socket.write(bytes, 'latin1');
    return rest(socket);
  };
  const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4);

  describe('of HTTP/1.0', () => {
    behaviour('2.3', 'same', 'HTTP/1.0 gets an answer with its length, over a connection that closes', async () => {
      const answer = await send('GET /ping HTTP/1.0\r\n\r\n');
      assert.match(answer, /^HTTP\/1\.1 200 [^]*\r\ncontent-length: 26\r\n/);
      assert.match(answer, /\r\nconnection: close\r\n/);
      assert.equal(bodyOf(answer), '{\n  "status": "Healthy"\n}\n');
    });

    behaviour('2.3', 'same', 'HTTP/1.0 with Connection: keep-alive keeps its connection', async () => {
      const socket = await open();
      socket.write('GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
      const [first] = (await once(socket, 'data')) as [Buffer];
      assert.match(first.toString(), /\r\nconnection: keep-alive\r\n/);
      socket.write('GET /ping HTTP/1.0\r\n\r\n');
      assert.match(await rest(socket), /^HTTP\/1\.1 200 [^]*Healthy/);
    });

    behaviour(
      '2.7',
      'stricter',
      'HTTP/1.0 gets a streamed answer unframed up to the end of the connection, not in chunks',
      async () => {
        const answer = await send(
          'POST /predictions/pieces HTTP/1.0\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx',
        );
        assert.doesNotMatch(answer, /transfer-encoding/i);
        assert.match(answer, /\r\nconnection: close\r\nts_stream_next: true\r\n/);
        assert.equal(bodyOf(answer), 'one two three');
      },
    );
  });

  describe('of HTTP/1.1', () => {
    behaviour('2.7', 'same', 'HTTP/1.1 gets a streamed answer in chunks, one for each piece', async () => {
      const answer = await send(`GET /predictions/pieces HTTP/1.1\r\nHost: ${host()}\r\nConnection: close\r\n\r\n`);
      assert.match(answer, /\r\ntransfer-encoding: chunked\r\n/);
      assert.equal(bodyOf(answer), '4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n');
    });

    behaviour('2.4', 'same', 'a body may come in chunks of any size', async () => {
      const socket = await open();
      socket.write(
        `POST /predictions/probe HTTP/1.1\r\nHost: ${host()}\r\nContent-Type: application/json\r\n` +
          'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n{"a\r\n',
      );
      socket.write('1;ext=1\r\n"\r\n3\r\n: 1\r\n1\r\n}\r\n0\r\n\r\n');
      assert.deepEqual((JSON.parse(bodyOf(await rest(socket))) as Probed).data, {
        body: { type: 'dict', value: { a: 1 } },
      });
    });

    behaviour('2.10', 'same', 'what is no HTTP/1 is 400 Invalid HTTP message.', async () => {
      const refused = errorBody(400, 'BadRequestException', 'Invalid HTTP message.');
      for (const bytes of [
        'GET\r\n\r\n',
        'GET /ping HTTP/2.0\r\n\r\n',
        `GET /ping HTTP/1.1\r\nHost: ${host()}\r\nbad header\r\n\r\n`,
        `POST /predictions/echo HTTP/1.1\r\nHost: ${host()}\r\nContent-Length: x\r\n\r\n`,
        `POST /predictions/echo HTTP/1.1\r\nHost: ${host()}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      ]) {
        const answer = await send(bytes);
        assert.match(answer, /^HTTP\/1\.1 400 [^]*\r\nconnection: close\r\n/i, bytes);
        assert.equal(bodyOf(answer), refused, bytes);
      }
    });

    behaviour('2.10', 'stricter', 'a request that two readers could understand differently is 400', async () => {
      const refused = errorBody(400, 'BadRequestException', 'Invalid HTTP message.');
      const to = 'POST /predictions/probe HTTP/1.1\r\n';
      for (const [what, head] of [
        ['no Host', 'Content-Length: 1\r\n\r\nx'],
        ['two Hosts', 'Host: localhost\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx'],
        ['two lengths', 'Host: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx'],
        ['a length and chunks', 'Host: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
        ['other codings', 'Host: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
        ['two media types', 'Host: localhost\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 1\r\n\r\nx'],
      ] as const) {
        const answer = await send(to + head);
        assert.match(answer, /^HTTP\/1\.1 400 /, what);
        assert.equal(bodyOf(answer), refused, what);
      }
    });

    behaviour(
      '2.3',
      'same',
      'a status from 400 on ends the connection, and what was sent after the request is not run',
      async () => {
        const next = `GET /ping HTTP/1.1\r\nHost: ${host()}\r\n\r\n`;
        for (const line of ['GET /nothing', 'GET /predictions/none', 'GET /']) {
          const answer = await send(`${line} HTTP/1.1\r\nHost: ${host()}\r\n\r\n${next}`);
          assert.match(answer, /^HTTP\/1\.1 40[45] [^]*\r\nconnection: close\r\n/);
          assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1);
        }
      },
    );

    behaviour('2.3', 'same', 'the fixed headers are on errors, documents and every listener alike', async () => {
      const { inference, management, metrics } = suite.server;
      const ids = new Set<unknown>();
      for (const url of [`${inference}/ping`, `${inference}/none`, `${management}/models`, `${metrics}/metrics`]) {
        const { headers } = await exchange(url, { headers: { 'x-request-id': 'mine' } });
        assert.match(String(headers['x-request-id']), UUID);
        ids.add(headers['x-request-id']);
        assert.equal(headers['pragma'], 'no-cache', url);
        assert.equal(headers['cache-control'], 'no-cache; no-store, must-revalidate, private');
        assert.equal(headers['expires'], 'Thu, 01 Jan 1970 00:00:00 UTC');
        assert.equal(headers['access-control-allow-origin'], undefined);
        assert.match(String(headers['content-length']), /^\d+$/);
      }
      assert.equal(ids.size, 4);
    });

    behaviour('2.3', 'same', 'JSON of the server escapes no HTML and no other letters', async () => {
      const answer = await exchange(`${suite.server.inference}/predictions/${encodeURIComponent('<b>&\'"é')}`);
      assert.equal(answer.text, errorBody(404, 'ModelNotFoundException', 'Model not found: <b>&\'"é'));
    });
  });

  describe('of their language’s library', () => {
    const infer = (init: RequestInit): Promise<Probed['data']> =>
      fetch(`${suite.server.inference}/predictions/probe`, { method: 'POST', ...init }).then(
        async (answer) => ((await answer.json()) as Probed).data,
      );

    behaviour('2.4', 'same', 'fetch: forms, files, parameters, JSON, text and streams reach the handler', async () => {
      const form = new FormData();
      form.set('data', new Blob(['{"a": 1}'], { type: 'application/json' }), 'a.json');
      form.set('größe', 'plain');
      assert.deepEqual(await infer({ body: form }), {
        data: { type: 'dict', value: { a: 1 } },
        größe: { type: 'bytearray', hex: hex('plain') },
      });
      assert.deepEqual(await infer({ body: new URLSearchParams([['a b', 'c&d=é']]) }), {
        'a b': { type: 'bytearray', hex: hex('c&d=é') },
      });
      assert.deepEqual(await infer({ body: 'text' }), { body: { type: 'str', value: 'text' } });
      assert.deepEqual(await infer({ body: new Uint8Array([0, 255]) }), { body: { type: 'bytearray', hex: '00ff' } });
      assert.deepEqual(await infer({ body: new Blob(['img'], { type: 'image/png' }) }), {
        body: { type: 'bytearray', hex: hex('img') },
      });
      const pieces = ReadableStream.from([Buffer.from('in '), Buffer.from('pieces')]);
      assert.deepEqual(await infer({ body: pieces, duplex: 'half' } as RequestInit), {
        body: { type: 'bytearray', hex: hex('in pieces') },
      });
    });

    behaviour(
      '2.4',
      'stricter',
      'a compressed body is refused: the server unpacks nothing from strangers',
      async () => {
        const answer = await exchange(`${suite.server.inference}/predictions/probe`, {
          method: 'POST',
          headers: { 'Content-Encoding': 'gzip', 'Content-Type': 'application/json' },
          body: gzipSync('{}'),
        });
        assert.deepEqual(
          [answer.status, answer.text],
          [
            415,
            errorBody(
              415,
              'BadRequestException',
              'Compressed request bodies are not accepted. Send the body as it is.',
            ),
          ],
        );
      },
    );

    behaviour(
      '2.4',
      'stricter',
      'a form that cannot be read is 400: no client can make the server look ill with 500s',
      async () => {
        const boundary = 'multipart/form-data; boundary=b';
        for (const [type, body] of [
          ['multipart/form-data', '--b\r\n'],
          [boundary, 'no boundary here'],
          [boundary, '--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n'],
          [boundary, '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nunfinished'],
          ['application/x-www-form-urlencoded', 'a=%zz'],
        ] as const) {
          const headers = { 'Content-Type': type };
          const answer = await exchange(`${suite.server.inference}/predictions/probe`, {
            method: 'POST',
            headers,
            body,
          });
          assert.equal(answer.status, 400, body);
          assert.equal(answer.json<{ type: string }>().type, 'BadRequestException');
        }
      },
    );
  });
});

// What a handler is given for a request (surface spec 2.4, 2.5), through the real server and a real Python worker.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe } from 'node:test';
import { startCompatServer } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { multipart, type ExchangeOptions } from '../support/http-exchange.ts';
import type { TestStore } from '../support/model-store.ts';
import { ECHO, PROBE, type Probed } from '../support/probe-handlers.ts';
import { portOf } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
const hex = (text: string): string => Buffer.from(text).toString('hex');

const fill = (store: TestStore): void => {
  store.add('probe', PROBE);
  store.add('echo', ECHO);
};

describeWithServer('what a handler is given', fill, { models: ['probe', 'echo'] }, (suite) => {
  async function probe(options: ExchangeOptions, path = '/predictions/probe'): Promise<Probed> {
    const answer = await suite.server.infer(path, { method: 'POST', ...options });
    assert.equal(answer.status, 200, answer.text);
    return answer.json<Probed>();
  }

  describe('the data of a request', () => {
    behaviour('2.4', 'same', 'a JSON body reaches the handler as the decoded value, under the key body', async () => {
      const headers = { 'Content-Type': 'application/json; charset=utf-8' };
      const { data } = await probe({ headers, body: '{"a": [1, 2.5, null, "é"]}' });
      assert.deepEqual(data, { body: { type: 'dict', value: { a: [1, 2.5, null, 'é'] } } });
    });

    behaviour(
      '2.4',
      'same',
      'a JSON body that does not parse is forwarded as bytearray, with a warning in the log',
      async () => {
        const { data } = await probe({ headers: { 'Content-Type': 'application/json' }, body: '{"a":' });
        assert.deepEqual(data, { body: { type: 'bytearray', hex: hex('{"a":') } });
        await suite.server.until(/MODEL_LOG - Failed json decoding of input data\. Forwarding encoded payload/);
      },
    );

    behaviour('2.4', 'same', 'the media type of JSON is compared case-sensitively', async () => {
      const { data } = await probe({ headers: { 'Content-Type': 'Application/JSON' }, body: '{}' });
      assert.deepEqual(data, { body: { type: 'bytearray', hex: hex('{}') } });
    });

    behaviour('2.4', 'same', 'a text body is a str, and a bytearray where it is not UTF-8', async () => {
      const headers = { 'Content-Type': 'text/plain' };
      assert.deepEqual((await probe({ headers, body: 'grüße' })).data, { body: { type: 'str', value: 'grüße' } });
      const broken = await probe({ headers, body: Buffer.from([0xff, 0xfe]) });
      assert.deepEqual(broken.data, { body: { type: 'bytearray', hex: 'fffe' } });
    });

    behaviour(
      '2.4',
      'same',
      'a body of any other type, or of none, is a bytearray with every byte as sent',
      async () => {
        const untyped = await probe({ body: EVERY_BYTE });
        assert.deepEqual(untyped.data, { body: { type: 'bytearray', hex: EVERY_BYTE.toString('hex') } });
        const typed = await probe({ headers: { 'Content-Type': 'image/png' }, body: EVERY_BYTE });
        assert.deepEqual(typed.data, untyped.data);
      },
    );

    behaviour('2.4', 'same', 'a GET without a body gives an empty bytearray', async () => {
      const { data } = await probe({ method: 'GET' });
      assert.deepEqual(data, { body: { type: 'bytearray', hex: '' } });
    });

    behaviour('2.4', 'same', 'file parts of a form carry their type, plain fields never do', async () => {
      const { data } = await probe(
        multipart([
          { name: 'json', value: '{"a": 1}', filename: 'a.json', type: 'application/json; charset=utf-8' },
          { name: 'text', value: 'hi', filename: 'a.txt', type: 'text/plain' },
          { name: 'raw', value: EVERY_BYTE, filename: 'a.bin' },
          { name: 'field', value: '{"a": 1}', type: 'application/json' },
        ]),
      );
      assert.deepEqual(data, {
        json: { type: 'dict', value: { a: 1 } },
        text: { type: 'str', value: 'hi' },
        raw: { type: 'bytearray', hex: EVERY_BYTE.toString('hex') },
        field: { type: 'bytearray', hex: hex('{"a": 1}') },
      });
    });

    behaviour('2.4', 'same', 'the last of several parts of one name wins', async () => {
      const { data } = await probe(
        multipart([
          { name: 'a', value: '1' },
          { name: 'b', value: '2' },
          { name: 'a', value: '3' },
        ]),
      );
      assert.deepEqual(data, { a: { type: 'bytearray', hex: hex('3') }, b: { type: 'bytearray', hex: hex('2') } });
    });

    behaviour('2.4', 'same', 'a urlencoded form gives one bytearray for each field', async () => {
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      const { data } = await probe({ headers, body: 'a=1&b=x%20y+z&empty=' });
      assert.deepEqual(data, {
        a: { type: 'bytearray', hex: hex('1') },
        b: { type: 'bytearray', hex: hex('x y z') },
        empty: { type: 'bytearray', hex: '' },
      });
    });

    behaviour(
      '2.4',
      'same',
      'of several fields of one name the last wins, whatever charset the form names',
      async () => {
        const headers = { 'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8' };
        const { data } = await probe({ headers, body: 'a=1&b&a=2&%C3%BC=3' });
        assert.deepEqual(data, {
          a: { type: 'bytearray', hex: hex('2') },
          b: { type: 'bytearray', hex: '' },
          ü: { type: 'bytearray', hex: hex('3') },
        });
      },
    );

    behaviour(
      '2.4',
      'same',
      'JSON may be any value Python reads: text, null, NaN, and however deeply nested',
      async () => {
        const headers = { 'Content-Type': 'application/json' };
        for (const [body, type] of [
          ['"text"', 'str'],
          ['null', 'NoneType'],
          ['[1]', 'list'],
          ['NaN', 'float'],
          ['12', 'int'],
        ] as const) {
          // NaN is no JSON outside Python, so the answer is not read as such.
          const answer = await suite.server.infer('/predictions/probe', { method: 'POST', headers, body });
          assert.match(answer.text, new RegExp(`"body": \\{"type": "${type}"`), body);
        }
        const deep = '['.repeat(100_000) + ']'.repeat(100_000);
        assert.equal((await probe({ headers, body: deep })).data['body']?.type, 'bytearray');
      },
    );

    behaviour('2.4', 'same', 'the JSON text that curl -d sends without a header becomes a key', async () => {
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      const { data } = await probe({ headers, body: '{"a":1}' });
      assert.deepEqual(data, { '{"a":1}': { type: 'bytearray', hex: '' } });
    });

    behaviour('2.4', 'same', 'query parameters do not reach handlers of prediction and KServe routes', async () => {
      for (const path of [
        '/predictions/probe',
        '/explanations/probe',
        '/v1/models/probe:predict',
        '/v2/models/probe/infer',
      ]) {
        const { data } = await probe({ body: 'x' }, `${path}?data=1&body=2`);
        assert.deepEqual(data, { body: { type: 'bytearray', hex: hex('x') } }, path);
      }
    });

    behaviour('2.4', 'same', 'query parameters become values on the SageMaker and MMS routes', async () => {
      for (const path of [
        '/invocations?model_name=probe&',
        '/models/probe/invoke?',
        '/probe/predict?',
        '/probe/1.0/predict?',
      ]) {
        const { data } = await probe({ body: 'x' }, `${path}extra=a%20b`);
        assert.deepEqual(data['extra'], { type: 'bytearray', hex: hex('a b') }, path);
        assert.deepEqual(data['body'], { type: 'bytearray', hex: hex('x') }, path);
      }
    });

    behaviour('2.4', 'same', 'a file part without a type of its own is a bytearray', async () => {
      const { data, headers } = await probe(multipart([{ name: 'file', value: '{}', filename: 'f' }]));
      assert.deepEqual(data, { file: { type: 'bytearray', hex: hex('{}') } });
      assert.deepEqual(headers['file'], { 'content-type': 'application/octet-stream' });
    });

    behaviour('2.4', 'same', 'a form without fields gives an empty dict', async () => {
      const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
      assert.deepEqual((await probe({ headers: form })).data, {});
      assert.deepEqual((await probe(multipart([]))).data, {});
    });

    behaviour('2.4', 'same', 'a form of many megabytes arrives whole, whatever bytes are in it', async () => {
      const value = Buffer.alloc(3_000_000, '\r\n--form-boundary-7d83a');
      const form = multipart([{ name: 'data', value, filename: 'large.bin' }]);
      const answer = await suite.server.infer('/predictions/echo', { method: 'POST', ...form });
      assert.ok(answer.bytes.equals(value));
    });

    behaviour(
      '2.4',
      'same',
      'types beside JSON and text are bytearray: +json, images, and text in capitals',
      async () => {
        for (const type of ['application/vnd.api+json', 'application/jsonx', 'image/jpeg', 'TEXT/plain', '']) {
          const { data } = await probe({ headers: { 'Content-Type': type }, body: '{}' });
          assert.deepEqual(data, { body: { type: 'bytearray', hex: hex('{}') } }, type);
        }
        const textual = await probe({ headers: { 'Content-Type': 'text/csv; charset=latin-1' }, body: 'a,b' });
        assert.deepEqual(textual.data, { body: { type: 'str', value: 'a,b' } });
      },
    );

    behaviour('13.4', 'same', 'every byte value comes back unchanged from a file part', async () => {
      const form = multipart([
        { name: 'data', value: EVERY_BYTE, filename: 'all.bin', type: 'application/octet-stream' },
      ]);
      const answer = await suite.server.infer('/predictions/echo', { method: 'POST', ...form });
      assert.deepEqual([answer.status, answer.bytes], [200, EVERY_BYTE]);
    });

    behaviour('13.4', 'same', 'every byte value comes back unchanged from a urlencoded field', async () => {
      const body = `data=${[...EVERY_BYTE].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')}`;
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      const answer = await suite.server.infer('/predictions/echo', { method: 'POST', headers, body });
      assert.deepEqual([answer.status, answer.bytes], [200, EVERY_BYTE]);
    });
  });

  describe('the headers of a request', () => {
    behaviour('2.5', 'same', 'headers reach the handler in the spelling the client used', async () => {
      const seen = await probe({ headers: { 'Content-Type': 'text/plain', 'X-CamelCase': 'yes' }, body: 'x' });
      assert.equal(seen.headers['X-CamelCase'], 'yes');
      assert.equal(seen.headers['x-camelcase'], undefined);
      assert.deepEqual([seen.contentType, seen.lowerContentType], ['text/plain', null]);
    });

    behaviour('2.5', 'same', 'of a repeated header the last value counts, for each spelling apart', async () => {
      const body = Buffer.from('x');
      const lines = ['X-Twice: 1', 'X-Twice: 2', 'x-twice: 3', `Content-Length: ${body.length}`, 'Connection: close'];
      const socket = connect(portOf(suite.server.inference), '127.0.0.1');
      socket.write(`POST /predictions/probe HTTP/1.1\r\nHost: localhost\r\n${lines.join('\r\n')}\r\n\r\nx`);
      const answer = await text(socket);
      const { headers } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as Probed;
      assert.deepEqual([headers['X-Twice'], headers['x-twice']], ['2', '3']);
    });

    behaviour('2.5', 'same', 'a header with the name of a part takes the place of the part’s entry', async () => {
      const { data, headers } = await probe({ headers: { body: 'mine', 'Content-Type': 'text/plain' }, body: 'x' });
      assert.deepEqual([headers['body'], data['body']?.value], ['mine', 'x']);
    });

    behaviour('2.5', 'same', 'each body part adds an entry with its content type', async () => {
      const json = await probe({ headers: { 'Content-Type': 'application/json' }, body: '1' });
      assert.deepEqual(json.headers['body'], { 'content-type': 'application/json' });
      const form = await probe(
        multipart([
          { name: 'file', value: 'x', filename: 'x', type: 'text/plain' },
          { name: 'field', value: 'x' },
        ]),
      );
      assert.deepEqual(form.headers['file'], { 'content-type': 'text/plain' });
      assert.deepEqual(form.headers['field'], { 'content-type': '' });
    });

    behaviour('2.5', 'same', 'url_path holds the path behind the version, and is empty without one', async () => {
      assert.equal((await probe({})).headers['url_path'], '');
      assert.equal((await probe({}, '/predictions/probe/1.0')).headers['url_path'], '');
      assert.equal((await probe({}, '/predictions/probe/1.0/v1/chat')).headers['url_path'], 'v1/chat');
    });

    behaviour(
      '2.5',
      'same',
      'explain tells predictions from explanations, and is not there on the other routes',
      async () => {
        const explainOf = async (path: string): Promise<unknown> => (await probe({}, path)).headers['explain'];
        assert.equal(await explainOf('/predictions/probe'), 'False');
        assert.equal(await explainOf('/explanations/probe'), 'True');
        assert.equal(await explainOf('/v1/models/probe:explain'), 'True');
        assert.equal(await explainOf('/v2/models/probe/explain'), 'True');
        assert.equal(await explainOf('/v2/models/probe/infer'), 'False');
        assert.equal(await explainOf('/models/probe/invoke'), undefined);
        assert.equal(await explainOf('/probe/predict'), undefined);
      },
    );

    behaviour('2.5', 'same', 'headers that the server adds win over the client’s of the same name', async () => {
      const seen = await probe({ headers: { explain: 'True', url_path: 'forged' } });
      assert.deepEqual([seen.headers['explain'], seen.headers['url_path']], ['False', '']);
    });

    behaviour(
      '2.5',
      'stricter',
      'a client cannot turn an inference into a describe job with a header of its own',
      async () => {
        const seen = await probe({ headers: { describe: 'True' } });
        assert.equal(seen.headers['describe'], undefined);
      },
    );

    behaviour(
      '2.3',
      'same',
      'the request id of the answer is a fresh UUID, the one the handler saw, whatever the client sent',
      async () => {
        const answer = await suite.server.infer('/predictions/probe', { headers: { 'X-Request-Id': 'mine' } });
        const id = answer.headers['x-request-id'];
        assert.match(String(id), UUID);
        assert.equal(answer.json<Probed>().requestId, id);
      },
    );
  });

  describe('data without decoding', () => {
    behaviour('13.4', 'same', 'with decode_input_request=false JSON and text arrive as bytearray', async () => {
      await using plain = await startCompatServer({
        modelStore: suite.store.dir,
        models: ['probe'],
        config: ['decode_input_request=false'],
      });
      for (const type of ['application/json', 'text/plain']) {
        const answer = await plain.infer('/predictions/probe', {
          method: 'POST',
          headers: { 'Content-Type': type },
          body: '{"a":1}',
        });
        assert.deepEqual(answer.json<Probed>().data, { body: { type: 'bytearray', hex: hex('{"a":1}') } });
      }
    });
  });
});

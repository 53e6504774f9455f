import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault, type FaultCode } from '../kernel/index.ts';
import { errorBody, statusOf } from './error-answer.ts';
import { createHostCheck, nameOf } from './host-check.ts';
import { inferenceApi, managementApi, metricsApi, modelManagementApi, predictionApi } from './openapi.ts';
import { DEFAULT_HTTP_OPTIONS } from './options.ts';
import { registerRequestOf } from './register-request.ts';
import { ResponseHeads, cleanHeaders } from './response-head.ts';
import { Query } from './target.ts';

describe('the headers of a handler', () => {
  test('never carry framing, hop-by-hop fields or the fields that the server sets', () => {
    const names = [
      'Content-Length',
      'transfer-encoding',
      'CONNECTION',
      'Keep-Alive',
      'Upgrade',
      'x-request-id',
      'Expires',
    ];
    assert.equal(cleanHeaders(names.map((name) => [name, '1'] as const)).size, 0);
  });

  test('lose what could break out of their line, and keep the rest', () => {
    const clean = cleanHeaders([
      ['X', 'a\r\nSet-Cookie: b'],
      ['Y\r\nZ', 'a'],
      ['N', 'a\0b'],
      ['U', '\u2028'],
      ['', 'a'],
      ['Good', 'tab\there \xe9'],
    ]);
    assert.deepEqual([...clean], [['Good', 'tab\there \xe9']]);
  });

  test('count once per name, the last spelling wins', () => {
    assert.deepEqual(
      [
        ...cleanHeaders([
          ['Dummy', '1'],
          ['b', '2'],
          ['dummy', '3'],
        ]),
      ],
      [
        ['b', '2'],
        ['dummy', '3'],
      ],
    );
  });

  test('are bounded in number and size', () => {
    const many = Array.from({ length: 100_000 }, (_, at) => [`h${at}`, 'v'] as const);
    assert.equal(cleanHeaders(many).size, 100);
    assert.equal(cleanHeaders([['big', 'x'.repeat(20_000)]]).size, 0);
  });

  test('cannot put a line break anywhere, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))), (headers) => {
        const head = new ResponseHeads(DEFAULT_HTTP_OPTIONS).build('id', undefined, headers, 1, true, false);
        assert.ok(head.every((text) => !/[\r\n\0]/.test(text)));
        assert.equal(head.filter((text, at) => at % 2 === 0 && text.toLowerCase() === 'content-length').length, 1);
      }),
      { numRuns: 25 },
    );
  });

  test('override the content type and CORS of the server', () => {
    const heads = new ResponseHeads({
      ...DEFAULT_HTTP_OPTIONS,
      corsAllowedOrigin: 'http://a',
      corsAllowedMethods: 'GET',
    });
    const own = [
      ['Access-Control-Allow-Origin', 'http://b'],
      ['Content-Type', 'text/html'],
    ] as const;
    const head = heads.build('id', 'text/plain', own, 1, true, false);
    assert.ok(head.includes('http://b') && !head.includes('http://a') && head.includes('GET'));
    assert.ok(head.includes('text/html') && !head.includes('text/plain'));
    assert.ok(heads.build('id', undefined, [], 1, true, false).includes('http://a'));
  });
});

describe('an error answer', () => {
  test('is two-space JSON with a newline, without a message where there is none', () => {
    const fault = new Fault('model_not_found', 'Model not found: <a>');
    assert.equal(
      errorBody(404, fault),
      '{\n  "code": 404,\n  "type": "ModelNotFoundException",\n  "message": "Model not found: <a>"\n}\n',
    );
    assert.equal(
      errorBody(500, new Fault('json_missing', '')),
      '{\n  "code": 500,\n  "type": "NullPointerException"\n}\n',
    );
  });

  test('for a refused key is 400, or what the RFC says when configured', () => {
    const codes: FaultCode[] = ['unauthenticated', 'forbidden', 'queue_full'];
    assert.deepEqual(
      codes.map((code) => statusOf(new Fault(code, ''), 'torchserve')),
      [400, 400, 503],
    );
    assert.deepEqual(
      codes.map((code) => statusOf(new Fault(code, ''), 'rfc')),
      [401, 403, 503],
    );
  });
});

describe('the host check', () => {
  const isAllowed = createHostCheck(['127.0.0.1', 'My.Name']);

  test('lets in loopback names, addresses and configured names, with any port', () => {
    for (const host of [
      'localhost',
      'LOCALHOST:8080',
      '127.0.0.1:80',
      '[::1]:8080',
      '10.1.2.3',
      'my.name',
      'a.localhost',
      'my.name.:1',
    ]) {
      assert.ok(isAllowed(host), host);
    }
    assert.ok(isAllowed(undefined));
  });

  test('keeps every other name out, also on the second try', () => {
    for (const host of [
      'evil.test',
      'evil',
      '',
      'localhost.evil',
      'localhost@evil',
      'localhost:8080:1',
      'xlocalhost',
      '127.0.0.1.evil',
      '[evil]',
    ]) {
      assert.ok(!isAllowed(host), host);
      assert.ok(!isAllowed(host), host);
    }
  });

  test('reads a name or nothing out of any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => assert.ok(!/[\s/:@]/.test(nameOf(`${text}a`)?.replaceAll(':', '') ?? ''))),
    );
  });
});

describe('a registration', () => {
  test('comes from the query, with TorchServe’s marks for "not given"', () => {
    const query = new Query('url=a.mar&model_name=m&batch_size=dd&initial_workers=-1&synchronous=-1&max_batch_delay=5');
    assert.deepEqual(registerRequestOf(undefined, query, { chunks: [], bytes: 0 }), {
      url: 'a.mar',
      isSynchronous: false,
      modelName: 'm',
      maxBatchDelayMs: 5,
      initialWorkers: -1,
    });
    const unset = new Query('batch_size=-1&max_batch_delay=-100&response_timeout=-1&startup_timeout=-1');
    assert.deepEqual(registerRequestOf(undefined, unset, { chunks: [], bytes: 0 }), {
      url: undefined,
      isSynchronous: true,
    });
  });

  test('comes from a JSON body alone when there is one', () => {
    const request = json(
      '{"url":"a.mar","batch_size":4,"initial_workers":"2","synchronous":"false","s3_sse_kms":true,"handler":null}',
    );
    assert.deepEqual(request, { url: 'a.mar', isSynchronous: false, batchSize: 4, initialWorkers: 2, s3SseKms: true });
  });

  test('that is no JSON object of the right types is refused by code', () => {
    for (const text of [
      '{',
      '[]',
      '1',
      '"x"',
      '{"batch_size":1.5}',
      '{"url":[]}',
      '{"synchronous":1}',
      '[['.repeat(20_000),
      '\ud800',
    ]) {
      assert.throws(() => json(text), hasCode('json_syntax'), text.slice(0, 20));
    }
    assert.throws(() => json(''), hasCode('json_missing'));
    assert.throws(() => json('null'), hasCode('json_missing'));
    assert.throws(() => json(`"${'x'.repeat(70_000)}"`), hasCode('payload_too_large'));
    assert.equal(json('{"__proto__":{"url":"evil"}}').url, undefined);
  });

  test('parses or refuses any JSON value', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          json(text);
        } catch (thrown) {
          assert.ok(hasCode('json_syntax')(thrown) || hasCode('json_missing')(thrown));
        }
      }),
    );
  });
});

test('every OpenAPI document names each operation once per path and method, with the version of the server', () => {
  for (const document of [
    inferenceApi('1.2.3'),
    managementApi('1.2.3'),
    metricsApi('1.2.3'),
    modelManagementApi('m', '1.2.3'),
  ]) {
    assert.match(JSON.stringify(document), /"openapi":"3\.0\.1","info":\{.*"version":"1\.2\.3"\}/);
  }
  assert.deepEqual(Object.keys((predictionApi('m') as { paths: object }).paths), [
    '/prediction/m',
    '/v1/models/{model_name}:predict',
    '/v2/models/{model_name}/infer',
  ]);
});

function json(text: string) {
  const bytes = Buffer.from(text, 'utf8');
  // A lone surrogate becomes bytes that are not UTF-8.
  const body = text === '\ud800' ? Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]) : bytes;
  return registerRequestOf('application/json', new Query('url=ignored'), { chunks: [body], bytes: body.length });
}

function hasCode(code: FaultCode) {
  return (thrown: unknown): boolean => thrown instanceof Fault && thrown.code === code;
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../../kernel/index.ts';
import { parseTarget, refusal } from './client.ts';
import { formatDescription, modelPath, queryOf } from './models.ts';
import { contentTypeOf, parseHeaders } from './predict.ts';
import { flagTexts } from './read-settings.ts';
import { statusOf } from './status.ts';
import { formatTable, printable } from './table.ts';
import { serveArguments } from './torchserve.ts';

const hasCode = (code: string) => (thrown: unknown) => thrown instanceof Fault && thrown.code === code;

describe('addresses of servers', () => {
  test('are http, https or unix', () => {
    assert.deepEqual(parseTarget('http://h:1'), { isTls: false, options: { host: 'h', port: 1 } });
    assert.deepEqual(parseTarget('https://h/'), { isTls: true, options: { host: 'h', port: 443 } });
    assert.deepEqual(parseTarget('http://[::1]:2'), { isTls: false, options: { host: '::1', port: 2 } });
    assert.deepEqual(parseTarget('unix:/a'), { isTls: false, options: { socketPath: '/a' } });
    for (const text of ['', 'h:1', 'ftp://h', 'http://h/path', 'unix:a', 'http://h?x']) {
      assert.throws(() => parseTarget(text), hasCode('usage'), text);
    }
  });
});

describe('a refusal of the server', () => {
  const call = { method: 'POST', path: '/models?url=x', key: 'management' } as const;

  test('for a wrong key says where the key came from', () => {
    const fault = refusal(400, '{"code":400,"type":"InvalidKeyException","message":"no"}', call, '/srv/key_file.json');
    assert.equal(fault.code, 'server_refused');
    assert.match(fault.message, /\/srv\/key_file\.json/);
  });

  test('of registering names the flag that allows it', () => {
    assert.match(refusal(405, '{"message":"no"}', call, 'f').message, /--enable-model-api/);
    const model = (type: string, message = 'no') => refusal(400, JSON.stringify({ type, message }), call, 'f').message;
    assert.match(model('DownloadArchiveException'), /AUDIT refused admit_model/);
    assert.match(model('ModelNotFoundException', 'x does not match any allowed URL(s)'), /allowed_urls=/);
    assert.doesNotMatch(model('ModelNotFoundException'), /allowed_urls/);
    assert.doesNotMatch(refusal(405, '{"message":"no"}', { ...call, path: '/x' }, 'f').message, /--enable-model-api/);
  });

  test('cannot drive the terminal', () => {
    assert.ok(!refusal(500, 'a\u001b[31m', call, 'f').message.includes('\u001b'));
  });
});

describe('tables', () => {
  test('align columns and escape control characters of cells', () => {
    assert.equal(formatTable(['A', 'BB'], [['long', 'x\u0007']]), 'A     BB\nlong  x\\x07\n');
  });

  test('printable text holds no control character', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(printable(text))));
  });
});

test('descriptions show scalars and workers of every version', () => {
  const text = formatDescription([
    { modelName: 'm', minWorkers: 1, workers: [{ id: '9000', status: 'READY', pid: 7 }] },
    { modelName: 'n' },
  ]);
  assert.match(text, /modelName {3}m\n/);
  assert.match(text, /9000 {2}READY {3}7\n/);
  assert.match(text, /no workers/);
});

test('ready workers are counted', () => {
  const workers = [{ status: 'READY' }, { status: 'UNLOADING' }];
  assert.deepEqual(statusOf('m', { modelVersion: '1.0', workers }), {
    model: 'm',
    version: '1.0',
    ready: 1,
    workers: 2,
  });
});

test('paths and queries are encoded, undefined members left out', () => {
  assert.equal(modelPath('a/b', undefined), '/models/a%2Fb');
  assert.equal(modelPath('m', '1.0'), '/models/m/1.0');
  assert.equal(queryOf({ url: 'a b&c', batch_size: undefined, synchronous: true }), 'url=a+b%26c&synchronous=true');
});

test('the content type is what was said, else what the file name says', () => {
  assert.equal(contentTypeOf('x.PNG', {}), 'image/png');
  assert.equal(contentTypeOf('x.png', { json: true }), 'application/json');
  assert.equal(contentTypeOf('x', { contentType: 'a/b' }), 'a/b');
  assert.equal(contentTypeOf(undefined, {}), 'application/octet-stream');
});

test('headers are names with values and nothing that splits a request', () => {
  assert.deepEqual(parseHeaders(['A: b', 'X-Y:z: 1']), { A: 'b', 'X-Y': 'z: 1' });
  for (const line of ['nothing', ': x', 'A b: c', 'A: b\r\nC: d']) {
    assert.throws(() => parseHeaders([line]), hasCode('usage'), line);
  }
});

describe('flags of davy serve', () => {
  test('become the texts that their keys would have in the file', () => {
    const flags = flagTexts({
      models: ['a.mar', 'n=b.mar'],
      disableTokenAuth: true,
      configSnapshots: false,
      set: ['job_queue_size=7'],
    });
    assert.deepEqual(flags.get('load_models'), { flag: '--models', text: 'a.mar,n=b.mar' });
    assert.deepEqual(flags.get('disable_token_authorization'), { flag: '--disable-token-auth', text: 'true' });
    assert.deepEqual(flags.get('config_snapshots'), { flag: '--no-config-snapshots', text: 'false' });
    assert.deepEqual(flags.get('job_queue_size'), { flag: '--set', text: '7' });
    assert.equal(flags.has('enable_model_api'), false);
  });

  test('--set takes known keys only, and none that counts in the file alone', () => {
    for (const item of ['nope=1', 'job_queue_size', '=1', 'enable_envvars_config=true']) {
      assert.throws(() => flagTexts({ set: [item] }), hasCode('usage'), item);
    }
  });
});

test('flags of torchserve become flags of davy serve, each value bound to its flag', () => {
  assert.deepEqual(
    serveArguments({ modelStore: '-x', models: ['all'], configSnapshots: false, disableTokenAuth: true }),
    ['--model-store=-x', '--no-config-snapshots', '--disable-token-auth', '--models=all'],
  );
});

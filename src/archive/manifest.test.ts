import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import {
  checkHandler,
  fallbackModelName,
  fileNameOf,
  parseManifest,
  parseRuntime,
  type HandlerRuntime,
} from './index.ts';

const parse = (value: unknown) => parseManifest(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
const isInvalid = (thrown: unknown): boolean => thrown instanceof Fault && thrown.code === 'invalid_model';

test('a manifest gives its fields and ignores members it does not know', () => {
  const manifest = parse({
    createdOn: '24/04/2023 10:27:55',
    runtime: 'python3',
    description: 'x',
    model: { modelName: 'mnist', serializedFile: 'w.pt', handler: 'h.py', modelVersion: '2.0', extensions: 'b' },
    archiverVersion: '0.12.0',
  });
  assert.equal(manifest.modelName, 'mnist');
  assert.equal(manifest.modelVersion, '2.0');
  assert.deepEqual([manifest.runtime, manifest.runtimeLabel], ['python', 'python3']);
  assert.deepEqual(manifest.warnings, []);
});

test('what a manifest does not say has a default, and its age is a warning', () => {
  const manifest = parse({ model: {} });
  assert.deepEqual([manifest.modelName, manifest.modelVersion, manifest.runtime], [undefined, '1.0', 'python']);
  assert.equal(manifest.warnings.length, 2);
});

test('a version written as a number keeps its text', () => {
  assert.equal(parse('{"model": {"modelVersion": 1.10}}').modelVersion, '1.10');
});

test('every other shape of manifest is a typed refusal', () => {
  const shapes = ['null', '[]', '1', '"x"', '', '{', '{"model": null}', '{"model": []}', '{"model": "x"}', '{}'];
  const models = [{ modelName: [] }, { modelName: null }, { modelName: '' }, { modelVersion: [] }, { handler: 7 }];
  for (const shape of shapes) assert.throws(() => parse(shape), isInvalid, shape);
  for (const model of models) assert.throws(() => parse({ model }), isInvalid, JSON.stringify(model));
  for (const runtime of ['LSP', 'java', '', null, 7, {}, 'constructor', '__proto__', 'PYTHON']) {
    assert.throws(() => parse({ runtime, model: {} }), isInvalid, String(runtime));
    assert.throws(() => parseRuntime(runtime), isInvalid);
  }
  assert.throws(() => parseManifest(Buffer.from([0x7b, 0xff, 0x7d])), isInvalid);
  assert.throws(() => parse(' '.repeat(2 * 1024 * 1024)), isInvalid);
  assert.throws(() => parse('['.repeat(100_000)), isInvalid);
});

test('a key written twice is refused, also when one spelling is escaped', () => {
  assert.throws(() => parse('{"model": {"handler": "a.py", "handler": "b.py"}}'), isInvalid);
  assert.throws(() => parse('{"model": {"handler": "a.py", "h\\u0061ndler" : "b.py"}}'), isInvalid);
  assert.doesNotThrow(() => parse('{"handler": "\\"model\\": {", "model": {"handler": "a.py"}}'));
});

test('any bytes are a manifest or a typed refusal', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      try {
        parse(text);
      } catch (thrown) {
        assert.ok(isInvalid(thrown));
      }
    }),
    { numRuns: 300 },
  );
});

const FILES = ['h.py', 'pkg/__init__.py', 'pkg/mod.py', 'MAR-INF/MANIFEST.json', 'index.mjs', 'model.onnx'];

test('a handler is a file of the archive or a built-in name', () => {
  const good: [string, HandlerRuntime][] = [
    ['h.py', 'python'],
    ['h', 'python'],
    ['h:fn', 'python'],
    ['h.py:fn', 'python'],
    ['some/dir/h.py:fn', 'python'],
    ['pkg', 'python'],
    ['pkg.mod:fn', 'python'],
    ['image_classifier', 'python'],
    ['index.mjs', 'node'],
    ['index.mjs:handle', 'node'],
    ['image_classifier', 'onnx'],
  ];
  for (const [handler, runtime] of good) assert.doesNotThrow(() => checkHandler(handler, FILES, runtime), handler);
});

test('a handler that reaches outside the archive is refused', () => {
  const bad = [
    '/tmp/x.py',
    '/tmp/h.py',
    '../h.py:h',
    'a/../h.py',
    './h.py',
    '~/h.py',
    'os:system',
    'shutil:rmtree',
    'os.path:join',
    'builtins:exec',
    'h.py;id',
    'h.py:fn:fn',
    'h.py:fn()',
    'h.py:os.system',
    'h.py\n',
    'h.py\0',
    'һ.py',
    'h.py:ｆn',
    '',
    ':',
    ':fn',
    'h.py:',
    'file:///tmp/h.py',
    'C:\\h.py',
    '$(id)',
    '-c',
    'x'.repeat(10_000),
    'missing.py',
    'model.onnx',
  ];
  for (const handler of bad) assert.throws(() => checkHandler(handler, FILES, 'python'), isInvalid, handler);
  for (const handler of ['fs', 'node:fs', 'h.py', '../index.mjs', 'image_classifier', 'model.onnx']) {
    assert.throws(() => checkHandler(handler, FILES, 'node'), isInvalid, handler);
  }
});

test('the fallback model name is the base name without its archive extension', () => {
  const names = {
    'noop.mar': 'noop',
    'noop-v1.0.mar': 'noop_v1_0',
    '_x.model': '_x',
    'https://h/a/b.c.mar?sig=1.mar': 'b_c',
    'x.tar.gz': 'x_tar_gz',
    'dir/': 'dir',
  };
  for (const [url, name] of Object.entries(names)) assert.equal(fallbackModelName(url), name);
  assert.equal(fileNameOf('https://h/x.mar?token=a/b'), 'x.mar');
});

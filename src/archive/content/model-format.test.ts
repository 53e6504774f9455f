import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { buildZip } from '../../../test/attack/archives.ts';
import { memoryAccess } from '../random-access.ts';
import { modelFormats } from './model-format.ts';

const formatOf = async (name: string, bytes: Uint8Array): Promise<string | undefined> => {
  const open = async () => ({ ...memoryAccess(bytes), [Symbol.asyncDispose]: async () => {} });
  return (await modelFormats([{ name, size: bytes.length, open }])).get(name);
};
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const safetensors = Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), latin1('{}')]);
const zip = (...names: readonly string[]): Buffer => buildZip(names.map((name) => ({ name, data: 'x', method: 0 })));

test('a file has the format of its bytes, whatever it is called', async () => {
  const pickle = latin1('\x80\x02}q\x00.');
  const cases: readonly (readonly [string, Uint8Array, string | undefined])[] = [
    ['w.safetensors', safetensors, 'safetensors'],
    ['w.dat', safetensors, 'safetensors'],
    ['w.pt', pickle, 'torch'],
    ['w.dat', pickle, 'torch'],
    ['w.txt', latin1('cposix\nsystem\n(S"id"\ntR.'), 'torch'],
    ['m.pt', zip('m/data.pkl', 'm/version'), 'torch'],
    ['m.bin', zip('m/data.pkl', 'm/version', 'm/constants.pkl', 'm/code/__torch__.py'), 'torchscript'],
    ['a.npz', zip('a.npy'), 'npz'],
    ['a.zip', zip('a.txt'), 'other'],
    ['a.npy', latin1('\x93NUMPY\x01\x00'), 'npy'],
    ['a.gguf', latin1('GGUF\x03\x00\x00\x00'), 'gguf'],
    ['a.onnx', latin1('\x08\x07'), 'onnx'],
    ['a.h5', latin1('\x89HDF\r\n\x1a\n'), 'other'],
    ['a.dat', latin1('\x1f\x8b\x08'), 'other'],
    ['h.py', latin1('import os\n'), undefined],
    ['vocab.txt', latin1('a\nb\n'), undefined],
    ['MAR-INF/MANIFEST.json', latin1('{"model": {}}'), undefined],
    ['empty', latin1(''), undefined],
  ];
  for (const [name, bytes, expected] of cases) assert.equal(await formatOf(name, bytes), expected, name);
});

test('any bytes under any name have a format or none, and never an error', async () => {
  const name = fc.constantFrom('w.pt', 'w.safetensors', 'w.onnx', 'w.npz', 'w.dat', 'w.json', 'w');
  const head = fc.constantFrom('', 'PK\x03\x04', '\x80\x04', '\x93NUMPY', 'GGUF');
  await fc.assert(
    fc.asyncProperty(name, head, fc.uint8Array({ maxLength: 64 }), async (file, start, rest) => {
      await formatOf(file, Buffer.concat([latin1(start), rest]));
    }),
    { numRuns: 200 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSignature } from './model-signature.ts';
import { readOnnxSettings } from './onnx-config.ts';

const signature = (...shape: (number | string)[]) =>
  readSignature([{ name: 'x', isTensor: true, type: 'float32', shape }], []);
const read = (onnx: unknown, ...shape: (number | string)[]) => readOnnxSettings({ onnx }, signature(...shape), true);

test('a model whose input looks like an image takes images without configuration', () => {
  const { image } = read(undefined, 'n', 3, 224, 200);
  assert.deepEqual([image?.height, image?.width, image?.mode, image?.layout], [224, 200, 'RGB', 'NCHW']);
  assert.equal(read(undefined, 'n', 28, 28, 1).image?.layout, 'NHWC');
  assert.equal(read(undefined, 'n', 10).image, undefined);
});

test('what the configuration says wins', () => {
  const { image, softmax, topK } = read(
    { image: { size: [32, 16], mode: 'L', mean: 0.5, std: [0.25] }, output: { softmax: true, topK: 3 } },
    'n',
    1,
    'h',
    'w',
  );
  assert.deepEqual(
    [image?.height, image?.width, image?.mean, image?.std, softmax, topK],
    [32, 16, [0.5], [0.25], true, 3],
  );
});

test('a wrong value fails the load and names its key', () => {
  for (const [onnx, key] of [
    [{ image: { size: [1e9, 8] } }, 'onnx.image.size'],
    [{ image: { size: 8, std: 0 } }, 'onnx.image.std'],
    [{ image: { size: 8, mode: 'CMYK' } }, 'onnx.image.mode'],
    [{ image: { size: 8, maxPixels: 1e12 } }, 'onnx.image.maxPixels'],
    [{ output: { topK: 'all' } }, 'onnx.output.topK'],
    ['yes', 'onnx'],
  ] as const) {
    assert.throws(
      () => read(onnx, 'n', 1, 8, 8),
      (error: Error) => error.message.startsWith(key),
    );
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elementType } from './datatypes.ts';
import { type Port, fitRows, rawDims, readSignature } from './model-signature.ts';
import { fromNested } from './tensors.ts';

const describe = (shape: readonly (number | string)[], name = 'x') => [
  { name, isTensor: true, type: 'float32', shape },
];
const signatureOf = (shape: readonly (number | string)[]) => readSignature(describe(shape), describe(['n', 2]));
const nested = (dims: readonly number[]): unknown =>
  dims.length === 0 ? 0 : Array.from({ length: dims[0]! }, () => nested(dims.slice(1)));
const tensor = (...dims: number[]) => fromNested(nested(dims), elementType('float32'));

test('the first axis decides how requests share a run', () => {
  assert.equal(signatureOf(['batch', 3]).batching, 'stack');
  assert.equal(signatureOf([1, 3]).batching, 'single');
  assert.equal(signatureOf([4, 3]).batching, 'whole');
});

test('a sample without batch axis becomes one row, and so does a flat one', () => {
  const signature = signatureOf(['batch', 1, 8, 8]);
  const port = signature.inputs[0]!;
  assert.deepEqual(fitRows(tensor(5, 1, 8, 8), port, signature).tensor.dims, [5, 1, 8, 8]);
  for (const sample of [tensor(1, 8, 8), tensor(8, 8), tensor(64)]) {
    const { tensor: row, isSingle } = fitRows(sample, port, signature);
    assert.deepEqual(row.dims, [1, 1, 8, 8]);
    assert.ok(isSingle);
  }
});

test('a tensor of another shape is refused with both shapes in the message', () => {
  const signature = signatureOf(['batch', 3]);
  assert.throws(() => fitRows(tensor(2, 4), signature.inputs[0]!, signature), /\[2, 4\].*\[\?, 3\]/);
});

test('raw bytes give the number of rows, or the length of one free axis', () => {
  const dims = (bytes: number, shape: readonly (number | string)[]): number[] => {
    const signature = signatureOf(shape);
    return rawDims(bytes, signature.inputs[0] as Port, signature);
  };
  assert.deepEqual(dims(24, ['batch', 3]), [2, 3]);
  assert.deepEqual(dims(20, ['batch', 'length']), [1, 5]);
  assert.deepEqual(dims(12, [1, 3]), [1, 3]);
  assert.deepEqual(dims(48, [4, 3]), [4, 3]);
  assert.throws(() => dims(25, ['batch', 3]), { statusCode: 400 });
  assert.throws(() => dims(96, [4, 3]), { statusCode: 400 });
  assert.throws(() => dims(0, ['batch', 3]), { statusCode: 400 });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { elementType, viewBytes } from './datatypes.ts';
import { isPredictionError } from './handler-api.ts';
import { type TensorValue, fromNested, sliceRows, stackRows, toNested } from './tensors.ts';

const FP32 = elementType('float32');
const INT64 = elementType('int64');

test('nested lists survive the way into a tensor and back', () => {
  const dims = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(dims, fc.integer({ min: -1000, max: 1000 }), (shape, seed) => {
      const build = (depth: number, at: number): unknown =>
        depth === shape.length
          ? seed + at
          : Array.from({ length: shape[depth]! }, (_, index) => build(depth + 1, at * 5 + index));
      const nested = build(0, 0);
      for (const type of [FP32, INT64, elementType('float64')]) {
        const tensor = fromNested(nested, type);
        assert.deepEqual(tensor.dims, shape);
        assert.deepEqual(toNested(tensor), nested);
      }
    }),
  );
});

test('any JSON at all is a tensor or a 400', () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ maxDepth: 5 }),
      fc.constantFrom('float32', 'int8', 'int64', 'bool', 'string', 'float16'),
      (value, name) => {
        try {
          fromNested(value, elementType(name));
        } catch (error) {
          assert.ok(isPredictionError(error) && error.statusCode === 400, String(error));
        }
      },
    ),
  );
});

test('one long row among empty ones allocates nothing', () => {
  const rows = [Array.from({ length: 100_000 }, () => 0), ...Array.from({ length: 100_000 }, () => [])];
  assert.throws(() => fromNested(rows, FP32), { name: 'PredictionError', statusCode: 400 });
});

test('an integer that does not fit its type is refused', () => {
  for (const [name, value] of [
    ['int8', 128],
    ['uint8', -1],
    ['int32', 1.5],
    ['int64', 2 ** 60],
    ['uint64', -1],
  ] as const) {
    assert.throws(() => fromNested([value], elementType(name)), { statusCode: 400 }, name);
  }
});

test('rows that are stacked can be cut apart again', () => {
  const tensor = (rows: number[][]): TensorValue => fromNested(rows, FP32);
  const stacked = stackRows([
    tensor([[1, 2]]),
    tensor([
      [3, 4],
      [5, 6],
    ]),
  ]);
  assert.deepEqual(stacked.dims, [3, 2]);
  assert.deepEqual(toNested(sliceRows(stacked, 0, 1)), [[1, 2]]);
  assert.deepEqual(toNested(sliceRows(stacked, 1, 2)), [
    [3, 4],
    [5, 6],
  ]);
});

test('half precision numbers are read by their bits', () => {
  const type = elementType('float16');
  const data = Uint16Array.from([0x3c00, 0xc000, 0x3555, 0x0001, 0x7c00]);
  const [one, minusTwo, third, least, infinity] = toNested({ type, dims: [5], data }) as number[];
  assert.deepEqual([one, minusTwo, least, infinity], [1, -2, 2 ** -24, Number.POSITIVE_INFINITY]);
  assert.ok(Math.abs(third! - 1 / 3) < 1e-3);
});

test('raw bytes are viewed in place when aligned and copied when not', () => {
  const memory = Buffer.from(new Float32Array([0, 1.5, -2]).buffer);
  assert.equal((viewBytes(FP32, memory) as Float32Array).buffer, memory.buffer);
  const shifted = Buffer.concat([Buffer.alloc(1), memory]).subarray(1);
  assert.deepEqual([...(viewBytes(FP32, shifted) as Float32Array)], [0, 1.5, -2]);
});

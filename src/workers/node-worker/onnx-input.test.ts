import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isPredictionError } from './handler-api.ts';
import { readSignature } from './model-signature.ts';
import { readOnnxSettings } from './onnx-config.ts';
import { type OnnxModel, prepareInput } from './onnx-input.ts';

function modelWith(...inputs: readonly (readonly (number | string)[])[]): OnnxModel {
  const ports = inputs.map((shape, index) => ({ name: `in${index}`, isTensor: true, type: 'float32', shape }));
  const signature = readSignature(ports, []);
  return { signature, settings: readOnnxSettings({}, signature, true) };
}

const bodyOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const prepare = (model: OnnxModel, bytes: Buffer, contentType: string | null = 'application/json') =>
  prepareInput({ id: 'r', headers: [], parts: [{ name: 'body', contentType, bytes }] }, model);

const PAIR = modelWith(['n', 2]);

test('the way a question is put decides the form of its answer', () => {
  assert.deepEqual(prepare(PAIR, bodyOf([1, 2])).form, { kind: 'single' });
  assert.deepEqual(prepare(PAIR, bodyOf([[1, 2]])).form, { kind: 'list' });
  assert.deepEqual(prepare(PAIR, bodyOf({ inputs: [[1, 2]] })).form, { kind: 'list' });
  assert.deepEqual(prepare(PAIR, bodyOf({ instances: [[1, 2]] })).form, { kind: 'predictions' });
  const openInference = { id: 'x', inputs: [{ name: 'in0', shape: [1, 2], datatype: 'FP32', data: [1, 2] }] };
  assert.deepEqual(prepare(PAIR, bodyOf(openInference)).form, { kind: 'open-inference', id: 'x' });
});

test('JSON and raw tensors need no content type', () => {
  assert.equal(prepare(PAIR, bodyOf([[1, 2]]), null).rows, 1);
  assert.equal(prepare(PAIR, Buffer.from(new Float32Array([1, 2, 3, 4]).buffer), null).rows, 2);
});

test('a model with several inputs takes them by name', () => {
  const model = modelWith(['n', 2], ['n']);
  assert.equal(
    prepare(
      model,
      bodyOf({
        inputs: {
          in0: [
            [1, 2],
            [3, 4],
          ],
          in1: [5, 6],
        },
      }),
    ).rows,
    2,
  );
  assert.equal(prepare(model, bodyOf({ instances: [{ in0: [1, 2], in1: 5 }] })).rows, 1);
  assert.throws(() => prepare(model, bodyOf([[1, 2]])), { statusCode: 400 });
  assert.throws(() => prepare(model, bodyOf({ inputs: { in0: [[1, 2]], in1: [5, 6] } })), { statusCode: 400 });
});

test('whatever a client sends is rows for the model or a 400', () => {
  const models = [
    PAIR,
    modelWith([1, 3]),
    modelWith([2, 2]),
    modelWith(['n', 1, 'h', 'w']),
    modelWith(['n', 2], ['n']),
  ];
  const shaped = fc.record({
    inputs: fc.oneof(
      fc.jsonValue({ maxDepth: 4 }),
      fc.array(
        fc.record({
          name: fc.constant('in0'),
          shape: fc.array(fc.integer({ min: -2, max: 3 })),
          datatype: fc.constant('FP32'),
          data: fc.array(fc.integer()),
        }),
        { maxLength: 2 },
      ),
    ),
  });
  const json = fc
    .oneof(fc.jsonValue({ maxDepth: 6 }), shaped, fc.record({ instances: fc.jsonValue({ maxDepth: 4 }) }))
    .map(bodyOf);
  const bytes = fc.oneof(
    json,
    fc.uint8Array({ maxLength: 64 }).map((data) => Buffer.from(data)),
  );
  const contentType = fc.constantFrom(null, 'application/json', 'application/octet-stream', 'image/png');
  fc.assert(
    fc.property(fc.constantFrom(...models), bytes, contentType, (model, body, type) => {
      try {
        const { tensors, rows } = prepare(model, body, type);
        assert.ok(rows > 0);
        for (const { dims, data } of tensors)
          assert.equal(
            dims.reduce((product, dim) => product * dim, 1),
            data.length,
          );
      } catch (error) {
        assert.ok(isPredictionError(error) && error.statusCode === 400, String((error as Error).stack));
      }
    }),
    { numRuns: 500 },
  );
});

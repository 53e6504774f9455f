import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ModelInferResponse_InferOutputTensorSchema } from './gen/open_inference_pb.ts';
import { outputTensors } from './output-tensor.ts';

const outputTensor = async (output: unknown) => (await outputTensors([output]))[0];

test('outputs become typed contents; BYTES keep their quotes', async () => {
  const tensor = await outputTensor({ name: 'o', datatype: 'BYTES', shape: [2], data: ['a', 1] });
  assert.deepEqual(
    tensor?.contents?.bytesContents.map((bytes) => Buffer.from(bytes).toString()),
    ['"a"', '1'],
  );
  assert.deepEqual(
    (await outputTensor({ datatype: 'INT32', shape: [1, 2], data: [[1, [2]], [], 3] }))?.contents?.intContents,
    [1, 2, 3],
  );
  assert.equal(await outputTensor({ datatype: 'FLOAT', data: [] }), undefined);
});

test('an element that is an object is not a number, whatever it holds', async () => {
  for (const datatype of ['FP16', 'FP64', 'INT8', 'UINT8'])
    assert.ok(await outputTensor({ name: 'y', datatype, shape: [1], data: [{ toString: 0, valueOf: 0 }] }));
});

test('whatever a model answers, the result can be sent', async () => {
  const datatype = fc.constantFrom('BOOL', 'INT8', 'UINT32', 'INT64', 'UINT64', 'FP16', 'FP32', 'FP64', 'BYTES', 'X');
  const output = fc.record({
    name: fc.jsonValue(),
    datatype,
    shape: fc.jsonValue(),
    data: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
  });
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.jsonValue(), output), async (value) => {
      const tensor = await outputTensor(value);
      if (tensor === undefined) return;
      const bytes = toBinary(ModelInferResponse_InferOutputTensorSchema, tensor);
      assert.ok(fromBinary(ModelInferResponse_InferOutputTensorSchema, bytes).contents !== undefined);
    }),
  );
});

test('lists in lists without end are no tensor', async () => {
  const data = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) as unknown;
  await assert.rejects(outputTensor({ datatype: 'FP32', data }), { code: 'prediction_failed' });
});

test('millions of elements are converted in turns', async () => {
  let turns = 0;
  const counting = setInterval(() => (turns += 1), 0);
  const outputs = Array.from({ length: 300 }, () => ({
    datatype: 'BYTES',
    shape: [1000],
    data: Array(1000).fill('x'),
  }));
  assert.equal((await outputTensors(outputs)).length, 300);
  clearInterval(counting);
  assert.ok(turns > 3, `${turns} turns`);
});

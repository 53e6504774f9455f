import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ModelInferResponse_InferOutputTensorSchema } from './gen/open_inference_pb.ts';
import { outputTensor } from './output-tensor.ts';

test('outputs become typed contents; BYTES keep their quotes', async () => {
  const tensor = outputTensor({ name: 'o', datatype: 'BYTES', shape: [2], data: ['a', 1] });
  assert.deepEqual(
    tensor?.contents?.bytesContents.map((bytes) => Buffer.from(bytes).toString()),
    ['"a"', '1'],
  );
  assert.deepEqual(outputTensor({ datatype: 'INT32', shape: [1, 2], data: [[1, 2]] })?.contents?.intContents, [1, 2]);
  assert.equal(outputTensor({ datatype: 'FLOAT', data: [] }), undefined);
});

test('an element that is an object is not a number, whatever it holds', async () => {
  for (const datatype of ['FP16', 'FP64', 'INT8', 'UINT8'])
    assert.ok(outputTensor({ name: 'y', datatype, shape: [1], data: [{ toString: 0, valueOf: 0 }] }));
});

test('whatever a model answers, the result can be sent', async () => {
  const datatype = fc.constantFrom('BOOL', 'INT8', 'UINT32', 'INT64', 'UINT64', 'FP16', 'FP32', 'FP64', 'BYTES', 'X');
  const output = fc.record({
    name: fc.jsonValue(),
    datatype,
    shape: fc.jsonValue(),
    data: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
  });
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), output), (value) => {
      const tensor = outputTensor(value);
      if (tensor === undefined) return;
      const bytes = toBinary(ModelInferResponse_InferOutputTensorSchema, tensor);
      assert.ok(fromBinary(ModelInferResponse_InferOutputTensorSchema, bytes).contents !== undefined);
    }),
  );
});

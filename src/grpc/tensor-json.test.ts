import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ModelInferRequestSchema, ModelInferResponse_InferOutputTensorSchema } from './gen/open_inference_pb.ts';
import { outputTensor, requestJson } from './tensor-json.ts';

test('a request becomes the JSON of the kservev2 envelope', () => {
  const request = create(ModelInferRequestSchema, {
    id: 'i',
    modelName: 'm',
    inputs: [
      { name: 'a', shape: [1n, 2n], datatype: 'FP32', contents: { fp32Contents: [0.5, -1] } },
      { name: 'b', shape: [1n], datatype: 'BYTES', contents: { bytesContents: [Buffer.from('hi')] } },
      { name: 'c', shape: [1n], datatype: 'INT64', contents: { int64Contents: [9007199254740993n] } },
    ],
  });
  assert.equal(
    requestJson(request).toString(),
    '{"id":"i","model_name":"m","inputs":[{"name":"a","shape":[1,2],"datatype":"FP32","data":[0.5,-1]},{"name":"b","shape":[1],"datatype":"BYTES","data":["aGk="]},{"name":"c","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}',
  );
});

test('raw tensors give the same JSON as typed ones', () => {
  const values = [1.5, -2, 1024];
  const raw = new Uint8Array(Float32Array.from(values).buffer);
  const input = { name: 'a', shape: [3n], datatype: 'FP32' };
  const typed = create(ModelInferRequestSchema, { inputs: [{ ...input, contents: { fp32Contents: values } }] });
  const untyped = create(ModelInferRequestSchema, { inputs: [input], rawInputContents: [raw] });
  assert.equal(requestJson(untyped).toString(), requestJson(typed).toString());
  const bytes = Buffer.from([2, 0, 0, 0, 0x68, 0x69]);
  const text = create(ModelInferRequestSchema, {
    inputs: [{ ...input, datatype: 'BYTES' }],
    rawInputContents: [bytes],
  });
  assert.match(requestJson(text).toString(), /"data":\["aGk="\]/);
  const half = create(ModelInferRequestSchema, {
    inputs: [{ ...input, datatype: 'FP16' }],
    rawInputContents: [Uint8Array.of(0, 0x3e, 0, 0xc0)],
  });
  assert.match(requestJson(half).toString(), /"data":\[1\.5,-2\]/);
});

test('tensors that contradict themselves are refused', () => {
  const input = { name: 'a', shape: [1n], datatype: 'FP32' };
  const refused = (change: object): void =>
    assert.throws(() => requestJson(create(ModelInferRequestSchema, { inputs: [input], ...change })), {
      code: 'bad_request',
    });
  refused({ rawInputContents: [Uint8Array.of(1, 2, 3)] });
  refused({ rawInputContents: [Uint8Array.of(1), Uint8Array.of(1)] });
  refused({ inputs: [{ ...input, datatype: 'FLOAT' }] });
  refused({ inputs: [{ ...input, datatype: 'BYTES' }], rawInputContents: [Uint8Array.of(9, 0, 0, 0, 1)] });
});

test('outputs become typed contents; BYTES keep their quotes', () => {
  const tensor = outputTensor({ name: 'o', datatype: 'BYTES', shape: [2], data: ['a', 1] });
  assert.deepEqual(
    tensor?.contents?.bytesContents.map((bytes) => Buffer.from(bytes).toString()),
    ['"a"', '1'],
  );
  assert.deepEqual(outputTensor({ datatype: 'INT32', shape: [1, 2], data: [[1, 2]] })?.contents?.intContents, [1, 2]);
  assert.equal(outputTensor({ datatype: 'FLOAT', data: [] }), undefined);
});

test('an element that is an object is not a number, whatever it holds', () => {
  for (const datatype of ['FP16', 'FP64', 'INT8', 'UINT8'])
    assert.ok(outputTensor({ name: 'y', datatype, shape: [1], data: [{ toString: 0, valueOf: 0 }] }));
});

test('whatever a model answers, the result can be sent', () => {
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

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import {
  ModelInferRequestSchema,
  ModelInferResponse_InferOutputTensorSchema,
  type ModelInferRequest,
} from './gen/open_inference_pb.ts';
import { outputTensor, requestJson } from './tensor-json.ts';

const textOf = async (request: ModelInferRequest): Promise<string> =>
  (await requestJson(request, new AbortController().signal)).toString();

test('a request becomes the JSON of the kservev2 envelope', async () => {
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
    await textOf(request),
    '{"id":"i","model_name":"m","inputs":[{"name":"a","shape":[1,2],"datatype":"FP32","data":[0.5,-1]},{"name":"b","shape":[1],"datatype":"BYTES","data":["aGk="]},{"name":"c","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}',
  );
});

test('raw tensors give the same JSON as typed ones', async () => {
  const values = [1.5, -2, 1024];
  const raw = new Uint8Array(Float32Array.from(values).buffer);
  const input = { name: 'a', shape: [3n], datatype: 'FP32' };
  const typed = create(ModelInferRequestSchema, { inputs: [{ ...input, contents: { fp32Contents: values } }] });
  const untyped = create(ModelInferRequestSchema, { inputs: [input], rawInputContents: [raw] });
  assert.equal(await textOf(untyped), await textOf(typed));
  const bytes = Buffer.from([2, 0, 0, 0, 0x68, 0x69]);
  const text = create(ModelInferRequestSchema, {
    inputs: [{ ...input, datatype: 'BYTES' }],
    rawInputContents: [bytes],
  });
  assert.match(await textOf(text), /"data":\["aGk="\]/);
  const half = create(ModelInferRequestSchema, {
    inputs: [{ ...input, datatype: 'FP16' }],
    rawInputContents: [Uint8Array.of(0, 0x3e, 0, 0xc0)],
  });
  assert.match(await textOf(half), /"data":\[1\.5,-2\]/);
});

test('tensors that contradict themselves are refused', async () => {
  const input = { name: 'a', shape: [1n], datatype: 'FP32' };
  const refused = (change: object): Promise<void> =>
    assert.rejects(textOf(create(ModelInferRequestSchema, { inputs: [input], ...change })), {
      code: 'bad_request',
    });
  await refused({ rawInputContents: [Uint8Array.of(1, 2, 3)] });
  await refused({ rawInputContents: [Uint8Array.of(1), Uint8Array.of(1)] });
  await refused({ inputs: [{ ...input, datatype: 'FLOAT' }] });
  await refused({ inputs: [{ ...input, datatype: 'BYTES' }], rawInputContents: [Uint8Array.of(9, 0, 0, 0, 1)] });
  await refused({ inputs: Array.from({ length: 1001 }, () => input) });
  await refused({ inputs: [{ ...input, shape: Array.from({ length: 65 }, () => 1n) }] });
});

test('a tensor of a million numbers is written in turns, and no longer when its client has left', async () => {
  const raw = new Uint8Array(1_000_000);
  const request = create(ModelInferRequestSchema, {
    inputs: [{ name: 'a', shape: [1_000_000n], datatype: 'INT8' }],
    rawInputContents: [raw],
  });
  let turns = 0;
  const counting = setInterval(() => (turns += 1), 0);
  const { inputs } = JSON.parse(await textOf(request)) as { inputs: { data: number[] }[] };
  clearInterval(counting);
  assert.equal(inputs[0]?.data.length, 1_000_000);
  assert.ok(turns > 3, `${turns} turns`);
  await assert.rejects(requestJson(request, AbortSignal.abort()), { name: 'AbortError' });
});

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

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { ModelInferRequestSchema, type ModelInferRequest } from './gen/open_inference_pb.ts';
import { readInferRequest, type InferRequest } from './infer-request.ts';
import { requestJson } from './tensor-json.ts';

function received(request: ModelInferRequest): InferRequest {
  const bytes = toBinary(ModelInferRequestSchema, request);
  return readInferRequest({ pieces: [bytes], bytes: bytes.length });
}

const textOf = async (request: ModelInferRequest): Promise<string> =>
  (await requestJson(received(request), new AbortController().signal)).toString();

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
  await assert.rejects(requestJson(received(request), AbortSignal.abort()), { name: 'AbortError' });
});

test('whatever an honest client may send in one message is written in turns: millions of 64-bit integers, in however many inputs', async () => {
  const int64Contents = Array.from({ length: 2000 }, () => 1n);
  const input = { name: 'a', shape: [2000n], datatype: 'INT64', contents: { int64Contents } };
  const request = create(ModelInferRequestSchema, { inputs: Array.from({ length: 300 }, () => input) });
  let turns = 0;
  const counting = setInterval(() => (turns += 1), 0);
  const { inputs } = JSON.parse(await textOf(request)) as { inputs: { data: number[] }[] };
  clearInterval(counting);
  assert.equal(inputs.flatMap(({ data }) => data).length, 600_000);
  assert.ok(turns > 3, `${turns} turns`);
});

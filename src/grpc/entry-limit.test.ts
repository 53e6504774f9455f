import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { hasFewEntries, MAX_ENTRIES } from './entry-limit.ts';
import { ModelInferRequestSchema } from './gen/open_inference_pb.ts';

const ofInputs = (inputs: object[]): boolean =>
  hasFewEntries(
    ModelInferRequestSchema,
    toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, { inputs })),
  );

test('large tensors have few fields', () => {
  const float = { name: 'a', datatype: 'FP32', shape: [1000n, 1000n] };
  assert.ok(ofInputs([{ ...float, contents: { fp32Contents: new Array(1_000_000).fill(0) } }]));
  const raw = create(ModelInferRequestSchema, { inputs: [float], rawInputContents: [new Uint8Array(4_000_000)] });
  assert.ok(hasFewEntries(ModelInferRequestSchema, toBinary(ModelInferRequestSchema, raw)));
});

test('fields without end are counted on every level', () => {
  const emptyInputs = Buffer.alloc(2 * (MAX_ENTRIES + 1), Buffer.from([0x2a, 0]));
  assert.equal(hasFewEntries(ModelInferRequestSchema, emptyInputs), false);
  assert.ok(hasFewEntries(ModelInferRequestSchema, emptyInputs.subarray(4)));
  const unknown = Buffer.alloc(2 * (MAX_ENTRIES + 1), Buffer.from([0x78, 0]));
  assert.equal(hasFewEntries(ModelInferRequestSchema, unknown), false);
  const bytesContents = new Array(MAX_ENTRIES).fill(new Uint8Array());
  assert.equal(ofInputs([{ contents: { bytesContents } }]), false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ModelInferRequestSchema } from './gen/open_inference_pb.ts';
import { readInferRequest } from './infer-request.ts';
import { UnreadableMessage } from './method.ts';

const read = (...pieces: Uint8Array[]) =>
  readInferRequest({ pieces, bytes: pieces.reduce((sum, piece) => sum + piece.length, 0) });

test('a request is read as protobuf reads it, in however many pieces it came', () => {
  const text = fc.string({ unit: 'grapheme' });
  const shape = fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 64 });
  const request = fc.record({
    id: text,
    modelName: text,
    modelVersion: text,
    inputs: fc.array(fc.record({ name: text, datatype: text, shape })),
    outputs: fc.array(fc.record({ name: text })),
    rawInputContents: fc.array(fc.uint8Array()),
  });
  fc.assert(
    fc.property(request, fc.nat(), (sent, cut) => {
      const bytes = toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, sent));
      const at = cut % (bytes.length + 1);
      const found = read(bytes.subarray(0, at), bytes.subarray(at));
      const { id, modelName, modelVersion, inputs, rawInputContents } = fromBinary(ModelInferRequestSchema, bytes);
      assert.deepEqual([found.id, found.modelName, found.modelVersion], [id, modelName, modelVersion]);
      assert.deepEqual(
        found.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
        inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
      );
      assert.deepEqual(found.rawInputContents.map(Buffer.from), rawInputContents.map(Buffer.from));
    }),
  );
});

test('bytes that are no request are unreadable, or read for what they hold', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      try {
        read(bytes);
      } catch (thrown) {
        assert.ok(thrown instanceof UnreadableMessage);
      }
    }),
  );
});

test('tensors, dimensions and fields without end are refused', () => {
  const tooMany = (bytes: Uint8Array): void => assert.throws(() => read(bytes), { code: 'bad_request' });
  tooMany(Buffer.alloc(2 * 1001, Buffer.from([0x2a, 0])));
  tooMany(Buffer.alloc(2 * 1001, Buffer.from([0x3a, 0])));
  tooMany(Buffer.alloc(2 * 100_001, Buffer.from([0x78, 0])));
  const input = Buffer.from([0x2a, 67, 0x1a, 65]);
  tooMany(Buffer.concat([input, Buffer.alloc(65)]));
  tooMany(Buffer.concat([Buffer.from([0x2a, 0x82, 1]), Buffer.alloc(130, Buffer.from([0x18, 1]))]));
});

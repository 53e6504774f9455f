import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import * as fc from 'fast-check';
import { InferTensorContentsSchema } from './gen/open_inference_pb.ts';
import { UnreadableMessage } from './method.ts';
import { typedElements } from './tensor-elements.ts';

const elementsOf = (datatype: string, ...contents: Uint8Array[]): (string | undefined)[] =>
  [...typedElements(datatype, contents)].filter((element) => element !== undefined);

test('every number of a typed list arrives with all its digits', () => {
  const lists = fc.record({
    boolContents: fc.array(fc.boolean()),
    intContents: fc.array(fc.integer()),
    int64Contents: fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    uintContents: fc.array(fc.nat()),
    uint64Contents: fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    fp32Contents: fc.array(fc.float()),
    fp64Contents: fc.array(fc.double()),
  });
  fc.assert(
    fc.property(lists, (found) => {
      const bytes = toBinary(InferTensorContentsSchema, create(InferTensorContentsSchema, found));
      assert.deepEqual(elementsOf('BOOL', bytes), found.boolContents.map(String));
      assert.deepEqual(elementsOf('INT8', bytes), found.intContents.map(String));
      assert.deepEqual(elementsOf('INT64', bytes), found.int64Contents.map(String));
      assert.deepEqual(elementsOf('UINT32', bytes), found.uintContents.map(String));
      assert.deepEqual(elementsOf('UINT64', bytes), found.uint64Contents.map(String));
      assert.deepEqual(elementsOf('FP32', bytes), found.fp32Contents.map(String));
      assert.deepEqual(elementsOf('FP64', bytes), found.fp64Contents.map(String));
    }),
  );
});

test('lists may be packed or not, and in as many pieces as the sender likes', () => {
  const packed = new BinaryWriter().tag(3, WireType.LengthDelimited).fork().int64(1).int64(2).join().finish();
  const single = new BinaryWriter().tag(3, WireType.Varint).int64('9007199254740993').finish();
  const other = new BinaryWriter().tag(2, WireType.Varint).int32(7).tag(9, WireType.Bit32).fixed32(1).finish();
  assert.deepEqual(elementsOf('INT64', Buffer.concat([packed, other, single]), packed), [
    '1',
    '2',
    '9007199254740993',
    '1',
    '2',
  ]);
});

test('what is no list of such elements is no message, whatever its bytes', () => {
  const cutOff = Uint8Array.of(0x1a, 2, 0x80, 0x80);
  assert.throws(() => elementsOf('INT64', cutOff), UnreadableMessage);
  assert.throws(() => elementsOf('FP64', Uint8Array.of(0x3a, 3, 0, 0, 0)), UnreadableMessage);
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom('BOOL', 'INT64', 'UINT8', 'FP32', 'FP64', 'BYTES'), (bytes, type) => {
      try {
        elementsOf(type, bytes);
      } catch (thrown) {
        assert.ok(thrown instanceof UnreadableMessage);
      }
    }),
  );
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { assert as check, boolean, integer, property, string, uint8Array } from 'fast-check';
import { RegisterModelRequestSchema } from './gen/management_pb.ts';
import { wellTyped } from './well-typed.ts';

const read = (bytes: Uint8Array) =>
  fromBinary(RegisterModelRequestSchema, wellTyped(RegisterModelRequestSchema, bytes));
/** RegisterModelRequest with its batch_size (1) and model_name (5) in the wrong wire types, and a url (9) behind them. */
const mistyped = (): Uint8Array =>
  new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string('dd')
    .tag(5, WireType.Varint)
    .uint32(3)
    .tag(9, WireType.LengthDelimited)
    .string('m.mar')
    .finish();

describe('well-typed messages', () => {
  it('lose the fields that are not what they were declared to be, and keep those behind them', () => {
    const { batchSize, modelName, url } = read(mistyped());
    assert.deepEqual([batchSize, modelName, url], [0, '', 'm.mar']);
  });

  it('are the very same bytes where nothing is wrong', () => {
    check(
      property(string(), integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), boolean(), (url, batchSize, synchronous) => {
        const bytes = toBinary(
          RegisterModelRequestSchema,
          create(RegisterModelRequestSchema, { url, batchSize, synchronous }),
        );
        assert.equal(wellTyped(RegisterModelRequestSchema, bytes), bytes);
      }),
    );
  });

  it('end with an error or a shorter message for any other bytes', () => {
    check(
      property(uint8Array({ maxLength: 64 }), (bytes) => {
        let left: Uint8Array;
        try {
          left = wellTyped(RegisterModelRequestSchema, bytes);
        } catch {
          return;
        }
        assert.ok(left.length <= bytes.length);
        assert.equal(wellTyped(RegisterModelRequestSchema, left), left);
      }),
    );
  });
});

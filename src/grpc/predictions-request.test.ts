import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { PredictionsRequestSchema } from './gen/inference_pb.ts';
import { UnreadableMessage } from './method.ts';
import type { Message } from './transport.ts';
import { readPredictionsRequest } from './predictions-request.ts';

/** Cuts bytes into pieces, as they would come off a socket. */
function cut(bytes: Uint8Array, size: number): Message {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return { pieces, bytes: bytes.length };
}
const whole = (bytes: Uint8Array): Message => cut(bytes, Math.max(1, bytes.length));

const text = fc.string({ maxLength: 20 });
const name = text.filter((key) => key !== '__proto__' && !/^\d+$/.test(key));

test('it reads what the generated code writes', () => {
  const message = fc.record({
    modelName: text,
    modelVersion: text,
    input: fc.dictionary(name, fc.uint8Array({ maxLength: 50 }), { noNullPrototype: true }),
    sequenceId: fc.option(text, { nil: undefined }),
  });
  fc.assert(
    fc.property(message, fc.integer({ min: 1, max: 60 }), ({ sequenceId, ...rest }, size) => {
      const sent = { ...rest, ...(sequenceId === undefined ? {} : { sequenceId }) };
      const read = readPredictionsRequest(
        cut(toBinary(PredictionsRequestSchema, create(PredictionsRequestSchema, sent)), size),
      );
      assert.equal(read.modelName, sent.modelName);
      assert.equal(read.version, sent.modelVersion === '' ? undefined : sent.modelVersion);
      assert.equal(read.sequenceId, sequenceId);
      assert.deepEqual(
        read.parts.map((part) => [part.name, [...Buffer.concat(part.chunks)], part.bytes]),
        Object.entries(sent.input).map(([key, value]) => [key, [...value], value.length]),
      );
    }),
  );
});

test('whatever the bytes, it answers with a request, an unreadable message or a refusal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      try {
        readPredictionsRequest(cut(bytes, 7));
      } catch (thrown) {
        assert.ok(thrown instanceof UnreadableMessage || (thrown instanceof Fault && thrown.code === 'bad_request'));
      }
    }),
    { numRuns: 500 },
  );
});

test('an input called __proto__ is an input like any other, and the last of two with one name counts', () => {
  const writer = new BinaryWriter();
  for (const [key, value] of [
    ['__proto__', 1],
    ['a', 2],
    ['a', 3],
  ] as const) {
    const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited);
    writer.tag(3, WireType.LengthDelimited).bytes(entry.bytes(Uint8Array.of(value)).finish());
  }
  const { parts } = readPredictionsRequest(whole(writer.finish()));
  assert.deepEqual(
    parts.map((part) => [part.name, part.chunks[0]?.[0]]),
    [
      ['__proto__', 1],
      ['a', 3],
    ],
  );
});

test('more inputs than anybody needs are refused', () => {
  const writer = new BinaryWriter();
  for (let at = 0; at < 1001; at++) {
    writer
      .tag(3, WireType.LengthDelimited)
      .bytes(new BinaryWriter().tag(1, WireType.LengthDelimited).string(String(at)).finish());
  }
  assert.throws(() => readPredictionsRequest(whole(writer.finish())), { code: 'bad_request' });
});

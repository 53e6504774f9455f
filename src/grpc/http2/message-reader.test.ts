import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Message } from '../transport.ts';
import { MessageReader } from './message-reader.ts';

const none = (): void => assert.fail('a message came out');

function framed(message: Uint8Array, flags = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

test('messages come out whole however their bytes are cut', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map((message) => framed(message)));
      const reader = new MessageReader(100);
      const received: Message[] = [];
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = cuts[turn % cuts.length] ?? 1;
        assert.equal(
          reader.read(bytes.subarray(at, at + size), (message) => received.push(message)),
          undefined,
        );
        at += size;
      }
      assert.deepEqual(
        received.map(({ pieces, bytes }) => [bytes, ...Buffer.concat(pieces)]),
        sent.map((message) => [message.length, ...message]),
      );
      assert.equal(reader.isInsideMessage, false);
    }),
  );
});

test('a message over the limit is a problem before a byte of it is kept', () => {
  const reader = new MessageReader(10);
  assert.deepEqual(reader.read(framed(new Uint8Array(11)).subarray(0, 5), none), {
    kind: 'too_large',
    bytes: 11,
  });
});

test('a compressed message is a problem', () => {
  assert.deepEqual(new MessageReader(10).read(framed(new Uint8Array(1), 1), none), { kind: 'compressed' });
});

test('half a message is known to be half', () => {
  const reader = new MessageReader(10);
  reader.read(framed(new Uint8Array(4)).subarray(0, 7), none);
  assert.equal(reader.isInsideMessage, true);
});

test('a message in crumbs is a problem, small messages and a few small pieces are none', () => {
  const reader = new MessageReader(100_000);
  for (let at = 0; at < 5000; at += 1) {
    assert.equal(
      reader.read(framed(new Uint8Array(3)), () => undefined),
      undefined,
    );
  }
  reader.read(framed(new Uint8Array(100_000)).subarray(0, 50_000), none);
  for (let at = 0; at < 1000; at += 1) assert.equal(reader.read(new Uint8Array(1), none), undefined);
  for (let at = 0; at < 24; at += 1) reader.read(new Uint8Array(1), none);
  assert.deepEqual(reader.read(new Uint8Array(1), none), { kind: 'crumbs' });
});

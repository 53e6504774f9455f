import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Frame, FrameReader, frameHead } from './frames.ts';

/** Plays a socket that brings at most `sizes[i]` bytes with the i-th read. */
function feed(stream: Buffer, sizes: readonly number[]): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame));
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const target = reader.nextBuffer();
    const bytes = Math.min(target.length, sizes[turn % sizes.length]!, stream.length - at);
    stream.copy(target, 0, at, at + bytes);
    reader.received(bytes);
    at += bytes;
  }
  return frames;
}

test('frames come out whole and in order however the stream is cut', () => {
  const aFrame = fc.record({
    t: fc.string(),
    body: fc.nat(100_000).map((length) => Buffer.alloc(length, length % 251)),
  });
  const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(aFrame, { maxLength: 4 }), sizes, (sent, cuts) => {
      const stream = Buffer.concat(sent.flatMap(({ t, body }) => [frameHead({ t }, body.length), body]));
      const frames = feed(stream, stream.length / Math.min(...cuts) > 10_000 ? [4096] : cuts);
      assert.deepEqual(
        frames.map(({ header }) => header['t']),
        sent.map(({ t }) => t),
      );
      for (const [at, { body }] of frames.entries()) assert.ok(body.equals(sent[at]!.body));
    }),
    { numRuns: 50 },
  );
});

test('a large body begins at an aligned address, so that its first tensor needs no copy', () => {
  const body = Buffer.alloc(600_000);
  const [frame] = feed(Buffer.concat([frameHead({ t: 'run' }, body.length), body]), [100_003]);
  assert.equal(frame!.body.byteOffset % 8, 0);
});

test('a header that is no object is an error', () => {
  const text = Buffer.from('[1]');
  const prefix = Buffer.from([0, 0, 0, text.length, 0, 0, 0, 0]);
  assert.throws(() => feed(Buffer.concat([prefix, text]), [64]));
});

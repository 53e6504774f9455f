import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { mergeCrumbs, releaseBytes } from './bytes.ts';

test('releasing frees whole buffers and leaves shared and small ones alone', () => {
  const whole = new Uint8Array(100_000);
  const shared = new Uint8Array(100_000);
  const slice = shared.subarray(0, 50_000);
  const small = new Uint8Array(100);
  releaseBytes([whole, slice, small]);
  assert.deepEqual(
    [whole.byteLength, slice.byteLength, shared.byteLength, small.byteLength],
    [0, 50_000, 100_000, 100],
  );
});

test('crumbs are put together, each byte once, and what came in one piece or in large ones stays as it is', () => {
  for (const [size, count, expected] of [
    [1, 10_000, 19 + (10_000 % 512)],
    [100_000, 2000, 2000],
    [600, 5000, 5000],
    [1, 511, 511],
  ] as const) {
    const piece = Buffer.alloc(size, 7);
    const pieces: Uint8Array[] = [];
    let from = 0;
    for (let at = 0; at < count; at += 1) {
      pieces.push(piece);
      from = mergeCrumbs(pieces, from);
    }
    assert.equal(pieces.length, expected);
    assert.equal(
      pieces.reduce((sum, { byteLength }) => sum + byteLength, 0),
      size * count,
    );
    assert.ok(pieces.every((held) => held.every((byte) => byte === 7)));
  }
});

test('crumbs keep their order', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3 }), { minLength: 500, maxLength: 1200 }), (sent) => {
      const pieces: Uint8Array[] = [];
      let from = 0;
      for (const piece of sent) {
        pieces.push(piece);
        from = mergeCrumbs(pieces, from);
      }
      assert.ok(Buffer.concat(pieces).equals(Buffer.concat(sent)));
    }),
    { numRuns: 20 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { releaseBytes } from './bytes.ts';

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

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GpuAllocator } from './gpu-allocator.ts';

describe('GPU assignment (surface spec 10.10)', () => {
  const taken = (gpus: GpuAllocator, times: number, ...asked: Parameters<GpuAllocator['next']>): (number | null)[] =>
    Array.from({ length: times }, () => gpus.next(...asked));

  it('goes round all GPUs, whatever models the workers belong to', () => {
    assert.deepEqual(taken(new GpuAllocator(3), 5, undefined, undefined), [0, 1, 2, 0, 1]);
  });

  it('keeps to the ids that a model names', () => {
    assert.deepEqual(taken(new GpuAllocator(4), 3, 'gpu', [3, 1]), [3, 1, 3]);
  });

  it('ignores a list of ids as a whole when one of them does not exist', () => {
    assert.deepEqual(taken(new GpuAllocator(2), 3, 'gpu', [1, 999]), [0, 1, 0]);
  });

  it('gives the CPU to models that ask for it, and to all where there is no GPU', () => {
    assert.deepEqual(taken(new GpuAllocator(2), 1, 'cpu', undefined), [null]);
    assert.deepEqual(taken(new GpuAllocator(0), 1, 'gpu', [0]), [null]);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_SILENT, SilentCalls } from './silent-calls.ts';

test('a flood of silent calls costs those that were silent for longest, and no upload that is on its way', () => {
  const silent = new SilentCalls();
  const evicted: number[] = [];
  const calls = Array.from({ length: 2 * MAX_SILENT }, (_, at) => ({ evict: () => void evicted.push(at) }));
  const [upload, ...flood] = calls;
  assert.ok(upload);
  silent.add(upload);
  for (const [at, call] of flood.entries()) {
    silent.add(call);
    if (at % 1000 === 0) silent.heard(upload);
  }
  assert.equal(evicted.length, MAX_SILENT);
  assert.equal(evicted[0], 1);
  assert.ok(!evicted.includes(0));
});

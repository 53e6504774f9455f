import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureTree } from './process-tree.ts';

test('a process tree is measured with its threads and the memory it holds for itself', () => {
  const hoard = Buffer.alloc(64 * 1024 ** 2, 1);
  const tree = measureTree(process.pid);
  assert.ok(tree.tasks > 1, 'Node has threads');
  assert.ok(tree.bytes >= hoard.length);
});

test('a process that is gone weighs nothing', () => {
  assert.deepEqual(measureTree(0x7fffffff), { bytes: 0, tasks: 0, pids: [0x7fffffff] });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from './turns.ts';

/** Work that stays under way until it is told to end. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, opened: promise };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('one key is served at a time, in the order of asking, and no more keys than the width', async () => {
  const turns = new Turns(2);
  const log: string[] = [];
  const gates = { a1: gate(), a2: gate(), b: gate(), c: gate() };
  const run = (key: string, name: keyof typeof gates) =>
    turns.run(key, async () => {
      log.push(`${name} starts`);
      await gates[name].opened;
      log.push(`${name} ends`);
    });
  const all = [run('a', 'a1'), run('a', 'a2'), run('b', 'b'), run('c', 'c')];
  await settle();
  assert.deepEqual(log, ['a1 starts', 'b starts']);
  gates.a1.open();
  await settle();
  assert.deepEqual(log.slice(2), ['a1 ends', 'c starts']);
  for (const { open } of Object.values(gates)) open();
  await Promise.all(all);
  assert.deepEqual(log.slice(-2), ['a2 starts', 'a2 ends']);
});

test('work that fails gives its turn and its place to the next', async () => {
  const turns = new Turns(1);
  await assert.rejects(
    turns.run('a', () => Promise.reject(new Error('broken'))),
    /broken/,
  );
  assert.equal(await turns.run('a', async () => 1), 1);
  assert.equal(await turns.run('b', async () => 2), 2);
});

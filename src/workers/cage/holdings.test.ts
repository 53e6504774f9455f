import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Holdings } from './holdings.ts';

test('what a worker holds is given back in reverse order, each of it although another one cannot be', async () => {
  const held = new Holdings();
  const given: string[] = [];
  held.onGiveBack(() => void given.push('first'));
  held.onGiveBack(() => Promise.reject(new Error('stuck')));
  held.onGiveBack(() => void given.push('last'));
  await assert.rejects(held.giveBack(), /stuck/);
  assert.deepEqual(given, ['last', 'first']);
  await held.giveBack();
});

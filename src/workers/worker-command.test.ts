import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hoistedModules } from './worker-command.ts';

test('a Node worker reads the dependencies of an installed package where npm and pnpm put them', () => {
  assert.deepEqual(hoistedModules('/srv/app/node_modules/davy-serve'), ['/srv/app/node_modules']);
  const pnpm = '/srv/app/node_modules/.pnpm/davy-serve@0.1.0/node_modules/davy-serve';
  assert.deepEqual(hoistedModules(pnpm), ['/srv/app/node_modules']);
  assert.deepEqual(hoistedModules('/home/me/davy'), []);
});

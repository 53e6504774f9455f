import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkerSpec } from '../serving/index.ts';
import { hoistedModules, workerCommand } from './worker-command.ts';

test('a Node worker reads the dependencies of an installed package where npm and pnpm put them', () => {
  assert.deepEqual(hoistedModules('/srv/app/node_modules/davy-serve'), ['/srv/app/node_modules']);
  const pnpm = '/srv/app/node_modules/.pnpm/davy-serve@0.1.0/node_modules/davy-serve';
  assert.deepEqual(hoistedModules(pnpm), ['/srv/app/node_modules']);
  assert.deepEqual(hoistedModules('/home/me/davy'), []);
});

test('a worker without a GPU is told that there is none; one with a GPU sees what its cage shows', () => {
  const spec = { runtime: 'python', interpreter: 'python3', packagesDir: null, threads: 3 } as WorkerSpec;
  const env = (gpuId: number | null): Readonly<Record<string, string>> =>
    workerCommand({ ...spec, gpuId }, { TS_IPEX_ENABLE: 'false' }).env;
  assert.equal(env(null)['CUDA_VISIBLE_DEVICES'], '');
  assert.equal('CUDA_VISIBLE_DEVICES' in env(1), false);
  assert.deepEqual([env(1)['OMP_NUM_THREADS'], env(1)['TS_IPEX_ENABLE']], ['3', 'false']);
});

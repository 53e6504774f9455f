import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../kernel/index.ts';
import type { WorkerLimits } from '../policy/index.ts';
import type { Announcements, DeathCause, WorkerEvents, WorkerSpec } from '../serving/index.ts';
import type { Cage, CagedCommand } from './cage/index.ts';
import { WorkerProcess } from './worker-process.ts';

const SPEC = {
  runtime: 'python',
  interpreter: null,
  packagesDir: null,
  threads: 1,
  gpuId: null,
} as unknown as WorkerSpec;

test('a worker that cannot be spawned gives back what its cage held for it', async () => {
  const told: string[] = [];
  const command = {
    file: '/bin/true',
    // No system call takes such an argument, and Node throws.
    args: ['\0'],
    env: {},
    cwd: '/',
    extraFds: [],
    dispose: async () => void told.push('disposed'),
  } as unknown as CagedCommand;
  const cause = await new Promise<DeathCause>((resolve) => {
    const events = { onExit: resolve } as unknown as WorkerEvents;
    const options = {
      cage: { wrap: async () => command } as unknown as Cage,
      clock: systemClock,
      announce: {} as Announcements,
      limitsFor: () => ({}) as WorkerLimits,
      operatorEnv: {},
    };
    assert.equal(new WorkerProcess(SPEC, events, options).pid, undefined);
  });
  assert.deepEqual([cause.kind, told], ['spawn_failed', ['disposed']]);
});

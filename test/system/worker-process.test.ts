// What the launcher makes of a caged command: the numbers inside the cage reach the worker, and a death has the cause that counts.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../src/kernel/index.ts';
import { defaultLimits } from '../../src/policy/index.ts';
import { Announcements, type DeathCause, type WorkerSpec } from '../../src/serving/index.ts';
import { createWorkerLauncher, type CagedCommand } from '../../src/workers/index.ts';

/** Prints the first frame's header and stays. */
const SHOW = `new (require('net').Socket)({ fd: 3 }).once('data', (chunk) =>
  console.log(chunk.toString('utf8', 8, 8 + chunk.readUInt32BE(0))));
setInterval(() => {}, 1000);`;

const SPEC: WorkerSpec = {
  workerId: '9000',
  runtime: 'node',
  interpreter: undefined,
  dir: '/outside',
  packagesDir: null,
  threads: 1,
  gpuId: 3,
  startupTimeoutMs: 30_000,
  responseTimeoutMs: 30_000,
  maxResponseBytes: 1000,
  artifactBytes: 0,
  askedLimits: undefined,
  load: { name: 'm', version: '1.0', dir: '/outside', gpuId: 3 },
};

/** A worker whose cage says that it died for want of memory, whatever happens. */
function launch() {
  const announce = new Announcements();
  const line = Promise.withResolvers<string>();
  announce.worker.subscribe(({ event }) => {
    if (event.kind === 'output') line.resolve(event.line);
  });
  const gone = Promise.withResolvers<DeathCause>();
  const attached: number[] = [];
  const command: CagedCommand = {
    file: process.execPath,
    args: ['-e', SHOW],
    env: {},
    cwd: '/',
    extraFds: [],
    modelDir: '/inside',
    gpuId: 0,
    innerCage: { stage: 2 },
    attach: (pid) => void attached.push(pid),
    exitCause: () => ({ kind: 'out_of_memory' }),
    dispose: async () => {},
  };
  const limits = { memory: '', tasks: '', cpu: '', files: '', tmp: '' };
  const launcher = createWorkerLauncher({
    cage: { plan: { level: 'none', mechanism: [], limits, degraded: [] }, wrap: async () => command },
    clock: systemClock,
    announce,
    limitsFor: () => defaultLimits({ memoryBytes: 2 ** 31, artifactBytes: 0, threads: 1 }),
    operatorEnv: {},
  });
  const handle = launcher.launch(SPEC, {
    onStarted: () => {},
    onLoaded: () => {},
    onSent: () => {},
    onPiece: () => {},
    onDone: () => {},
    onBatchFault: () => {},
    onMetrics: () => {},
    onOutputDropped: () => {},
    onExit: gone.resolve,
  });
  return { handle, line: line.promise, gone: gone.promise, attached };
}

describe('a worker process', () => {
  test('is told the folder, the GPU and the restrictions of its cage, and is watched from its first moment', async () => {
    const { handle, line, gone, attached } = launch();
    const { t, model } = JSON.parse(await line) as Record<string, any>;
    assert.deepEqual([t, model.dir, model.gpuId, model.cage], ['load', '/inside', 0, { stage: 2 }]);
    assert.deepEqual(attached, [handle.pid]);
    handle.kill({ kind: 'stopped' });
    await gone;
  });

  const CAUSES: readonly (readonly [DeathCause, DeathCause['kind']])[] = [
    [{ kind: 'response_timeout', afterMs: 1 }, 'out_of_memory'],
    [{ kind: 'startup_timeout', afterMs: 1 }, 'out_of_memory'],
    [{ kind: 'protocol', offence: 'a second hello' }, 'protocol'],
    [{ kind: 'oversize_response', bytes: 1 }, 'oversize_response'],
    [{ kind: 'stopped' }, 'stopped'],
  ];
  for (const [sentence, expected] of CAUSES) {
    test(`that was ended for "${sentence.kind}" while it was out of memory died of "${expected}"`, async () => {
      const { handle, line, gone } = launch();
      await line;
      handle.kill(sentence);
      assert.equal((await gone).kind, expected);
    });
  }
});

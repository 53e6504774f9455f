// Starts one worker that would stay for ever, with a child that lets go of everything, prints the id of its first process, and
// waits to be killed: `node run-idle.ts LEVEL DIR`.
import type { Duplex } from 'node:stream';
import { defaultLimits, type IsolationLevel } from '../../../src/policy/index.ts';
import { createCage, spawnCaged } from '../../../src/workers/index.ts';

const [level, modelDir] = process.argv.slice(2) as [IsolationLevel, string];
const cage = await createCage({ level });
const command = await cage.wrap({
  file: '/usr/bin/python3',
  args: [
    '-c',
    'import os, time\nif os.fork() == 0:\n  os.closerange(0, 64)\n  time.sleep(600)\nos.write(3, b"x")\ntime.sleep(600)',
  ],
  env: {},
  runtime: 'python',
  modelDir,
  readOnlyPaths: [],
  threads: 1,
  limits: defaultLimits({ memoryBytes: 2 ** 31, artifactBytes: 0, threads: 1 }),
  gpuId: null,
});
const child = spawnCaged(command);
(child.stdio[3] as Duplex).once('data', () => process.stdout.write(`${child.pid}\n`));

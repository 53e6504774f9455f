// Runs every attack against one level of isolation, as whoever starts it: `node run-escape.ts LEVEL PYTHON [node]`.
// JSON on stdout.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultLimits, type IsolationLevel, type WorkerLimits } from '../../../src/policy/index.ts';
import { createCage, openProbeTarget } from '../../../src/workers/index.ts';
import type { Runtime } from '../../../src/serving/index.ts';
import { HostileWorker, writeHostileModel } from './hostile-worker.ts';

/** Evidence by attack; null: stopped. */
export type EscapeReport = Readonly<Record<string, unknown>>;

const MiB = 1024 ** 2;
const LIMITS: WorkerLimits = {
  ...defaultLimits({ memoryBytes: 1024 * MiB, artifactBytes: 0, threads: 1 }),
  memoryBytes: 384 * MiB,
  tmpBytes: 32 * MiB,
  fileBytes: 64 * MiB,
  openFiles: 256,
};
const WATCH_SECONDS = 2.5;

const [level, python, runtime = 'python'] = process.argv.slice(2) as [IsolationLevel, string, Runtime | undefined];
const cage = await createCage({ level });
await using target = await openProbeTarget(level, LIMITS);
writeHostileModel(target.modelDir);
const watchSeconds = Object.values(cage.plan.limits).some((held) => held.includes('watch')) ? WATCH_SECONDS : 0;
const report: Record<string, unknown> = {};
let worker = await start();
// A Node worker tries all of its few attacks at once: none of them can cost it its life.
for (const id of runtime === 'node' ? ['all'] : probeIds()) {
  const answer = await worker.ask({ ...target.describe(''), only: [id], watchSeconds });
  if (answer.kind === 'answer') {
    const outcome = JSON.parse(answer.text) as Record<string, [string, unknown]>;
    for (const [tried, [, evidence]] of Object.entries(outcome)) report[tried] = evidence;
  } else {
    // The attack cost the worker its life: stopped, and the next one meets a new worker.
    report[id] = null;
    worker = await start();
  }
}
await worker.end();
process.stdout.write(JSON.stringify(report));

async function start(): Promise<HostileWorker> {
  const started = new HostileWorker(cage, target.modelDir, LIMITS, python, runtime);
  await started.loaded;
  return started;
}

/** Read from the source, so that no attack can be forgotten here. */
function probeIds(): string[] {
  const source = readFileSync(join(target.modelDir, 'cage_probes.py'), 'utf8');
  return [...source.matchAll(/^@probe\("(\w+)"/gm)].map(([, id]) => id ?? '');
}

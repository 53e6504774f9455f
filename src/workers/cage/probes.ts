// Proves the cage before a model enters it: a throw-away worker tries to break out.
import { text } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { once } from 'node:events';
import { Fault } from '../../kernel/index.ts';
import { defaultLimits, type IsolationLevel, type WorkerLimits } from '../../policy/index.ts';
import type { Cage } from './contract.ts';
import { findProgram } from './interpreter.ts';
import { nodeProbeScript, probeScript } from './places.ts';
import { openProbeTarget } from './probe-target.ts';
import { spawnCaged } from './spawn.ts';

export interface ProbeReport {
  readonly level: IsolationLevel;
  /** Which worker attacked: a machine without Python is probed from Node, with fewer attacks. */
  readonly runtime: 'python' | 'node';
  readonly blocked: readonly string[];
  readonly hits: readonly { readonly id: string; readonly title: string; readonly evidence: string }[];
  readonly tookMs: number;
}

export interface ProbeOptions {
  /** Everything `davy doctor` knows, instead of the short suite at boot. */
  readonly all?: boolean;
  readonly only?: readonly string[];
  /** Interpreter of the models; `python3` on the PATH by default. */
  readonly python?: string;
  readonly limits?: WorkerLimits;
}

const BOOT_TIMEOUT_MS = 20_000;
const ALL_TIMEOUT_MS = 60_000;
const MiB = 1024 ** 2;

/** Small enough for a suite that tries to exceed them. */
const PROBE_LIMITS: WorkerLimits = {
  ...defaultLimits({ memoryBytes: 1024 * MiB, artifactBytes: 0, threads: 1 }),
  memoryBytes: 384 * MiB,
  tmpBytes: 32 * MiB,
  fileBytes: 64 * MiB,
  openFiles: 256,
};

/** Runs the probes in a worker of this cage. Throws `invalid_configuration` when that worker gives no answer. */
export async function runBootProbes(cage: Cage, options: ProbeOptions = {}): Promise<ProbeReport> {
  const started = performance.now();
  const limits = options.limits ?? PROBE_LIMITS;
  await using target = await openProbeTarget(cage.plan.level, limits);
  const python = findProgram(options.python ?? 'python3');
  const runtime = python === null ? 'node' : 'python';
  const script = python === null ? nodeProbeScript() : probeScript();
  const inside = cage.plan.level === 'strict' ? '/model' : target.modelDir;
  const task = JSON.stringify({ ...target.describe(inside), all: options.all ?? false, only: options.only });
  const command = await cage.wrap({
    file: python ?? process.execPath,
    args: python === null ? [script, task] : ['-I', '-B', script, task],
    env: {},
    runtime,
    modelDir: target.modelDir,
    readOnlyPaths: [script],
    threads: 1,
    limits,
    gpuId: null,
  });
  try {
    const answer = await collect(spawnCaged(command), options.all === true ? ALL_TIMEOUT_MS : BOOT_TIMEOUT_MS);
    const outcome = parseAnswer(answer);
    return {
      level: cage.plan.level,
      runtime,
      blocked: outcome.filter(([, { evidence }]) => evidence === null).map(([id]) => id),
      hits: outcome.flatMap(([id, { title, evidence }]) => (evidence === null ? [] : [{ id, title, evidence }])),
      tookMs: Math.round(performance.now() - started),
    };
  } finally {
    await command.dispose();
  }
}

/** Throws `invalid_configuration` naming every probe that got through, unless the operator chose level `none`. */
export function assertContained(report: ProbeReport): void {
  if (report.level === 'none' || report.hits.length === 0) return;
  const hits = report.hits.map(({ id, title, evidence }) => `${id} (${title}): ${evidence}`).join('; ');
  throw new Fault(
    'invalid_configuration',
    `Isolation level "${report.level}" does not hold on this machine: a worker could ${hits}. Run "davy doctor" for what to do.`,
  );
}

async function collect(child: ReturnType<typeof spawnCaged>, timeoutMs: number): Promise<string> {
  const [, stdout, stderr, frames] = child.stdio as unknown as [null, Readable, Readable, Readable];
  stdout.resume();
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  try {
    const [answer, complaint] = await Promise.all([text(frames), text(stderr), once(child, 'close')]);
    if (answer !== '') return answer;
    const line = complaint.trim().split('\n').at(-1) ?? '';
    throw new Fault('invalid_configuration', `The probe worker did not start: ${line.slice(0, 300)}`);
  } finally {
    clearTimeout(timer);
  }
}

type Outcome = readonly [id: string, { readonly title: string; readonly evidence: string | null }];

/** The probe worker is our own code, but it ran next to nothing else: a shape that is wrong is a bug. */
function parseAnswer(answer: string): Outcome[] {
  const parsed = JSON.parse(answer) as Record<string, [string, unknown]>;
  return Object.entries(parsed).map(([id, [title, evidence]]) => [
    id,
    { title, evidence: evidence === null ? null : JSON.stringify(evidence).slice(0, 200) },
  ]);
}

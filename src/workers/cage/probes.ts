// Proves the cage before a model enters it: a throw-away worker tries to break out.
import type { ChildProcess } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { Duplex, Readable } from 'node:stream';
import { once } from 'node:events';
import { Fault } from '../../kernel/index.ts';
import { defaultLimits, type IsolationLevel, type WorkerLimits } from '../../policy/index.ts';
import type { Cage } from './contract.ts';
import { findProgram } from './interpreter.ts';
import { cageScript, nodeProbeScript, probeScript } from './places.ts';
import { openProbeTarget, type ProbeTarget } from './probe-target.ts';
import { endGroup, spawnCaged } from './spawn.ts';

export interface Outcome {
  readonly id: string;
  readonly title: string;
  /** What the attack got hold of; null when it was stopped. */
  readonly evidence: string | null;
}

export interface ProbeReport {
  readonly level: IsolationLevel;
  /** Which worker attacked: a machine without Python is probed from Node, with fewer attacks. */
  readonly runtime: 'python' | 'node';
  readonly blocked: readonly Outcome[];
  readonly hits: readonly Outcome[];
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
/** Longer than the watch needs to notice and to act. */
const WATCH_SECONDS = 2.5;
/** More than there are probes that a worker could die of. */
const MAX_WORKERS = 12;
const MAX_COMPLAINT = 300;
const MiB = 1024 ** 2;

type ProbeEvent = readonly [id: string, title: string] | readonly [id: string, title: string, evidence: string | null];

/** Small enough for a suite that tries to exceed them. */
const PROBE_LIMITS: WorkerLimits = {
  ...defaultLimits({ memoryBytes: 1024 * MiB, artifactBytes: 0, threads: 1 }),
  memoryBytes: 384 * MiB,
  tmpBytes: 32 * MiB,
  fileBytes: 64 * MiB,
  openFiles: 256,
};

/**
 * Runs the probes in workers of this cage: one, and another one for what is left whenever a probe costs its worker the
 * life. Throws `invalid_configuration` when a worker does not even start.
 */
export async function runBootProbes(cage: Cage, options: ProbeOptions = {}): Promise<ProbeReport> {
  const started = performance.now();
  await using target = await openProbeTarget(cage.plan.level, options.limits ?? PROBE_LIMITS);
  const python = findProgram(options.python ?? 'python3');
  const outcomes = new Map<string, Outcome>();
  for (let attempt = 0; attempt < MAX_WORKERS; attempt++) {
    const { events, complaint } = await attack(cage, target, python, { ...options, except: [...outcomes.keys()] });
    if (events.length === 0 && attempt === 0) {
      throw new Fault('invalid_configuration', `The probe worker did not start: ${complaint}`);
    }
    for (const [id, title, evidence] of events) outcomes.set(id, { id, title, evidence: evidence ?? null });
    if (events.at(-1)?.length !== 2) break;
  }
  const all = [...outcomes.values()];
  return {
    level: cage.plan.level,
    runtime: python === null ? 'node' : 'python',
    blocked: all.filter(({ evidence }) => evidence === null),
    hits: all.filter(({ evidence }) => evidence !== null),
    tookMs: Math.round(performance.now() - started),
  };
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

async function attack(
  cage: Cage,
  target: ProbeTarget,
  python: string | null,
  options: ProbeOptions & { readonly except: readonly string[] },
): Promise<{ readonly events: readonly ProbeEvent[]; readonly complaint: string }> {
  const { all = false, only, except, limits = PROBE_LIMITS } = options;
  const script = python === null ? nodeProbeScript() : probeScript();
  const inside = cage.plan.level === 'strict' ? '/model' : target.modelDir;
  const watchSeconds = Object.values(cage.plan.limits).some((held) => held.includes('watch')) ? WATCH_SECONDS : 0;
  const task = JSON.stringify({ ...target.describe(inside), all, only, except, watchSeconds });
  const command = await cage.wrap({
    file: python ?? process.execPath,
    args: python === null ? [script, task] : ['-I', '-B', script, task],
    env: {},
    runtime: python === null ? 'node' : 'python',
    modelDir: target.modelDir,
    readOnlyPaths: [script, cageScript()],
    threads: 1,
    limits,
    gpuId: null,
  });
  try {
    const child = spawnCaged(command);
    // As a model's worker does: what is attacked is the whole cage.
    if (python !== null) (child.stdio[3] as Duplex).write(`${JSON.stringify(command.innerCage)}\n`);
    return await listen(child, all ? ALL_TIMEOUT_MS : BOOT_TIMEOUT_MS);
  } catch (cause) {
    const message = `The probe worker did not start: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new Fault('invalid_configuration', message, { cause });
  } finally {
    await command.dispose();
  }
}

async function listen(
  child: ChildProcess,
  timeoutMs: number,
): Promise<{ readonly events: readonly ProbeEvent[]; readonly complaint: string }> {
  const [, stdout, stderr, frames] = child.stdio as unknown as [null, Readable, Readable, Readable];
  stdout.resume();
  // The group: whatever a probe started may hold the pipes open.
  const timer = setTimeout(() => endGroup(child.pid!), timeoutMs);
  try {
    const [answer, complaint] = await Promise.all([text(frames), text(stderr), once(child, 'exit')]);
    const lines = answer.split('\n').filter((line) => line !== '');
    return {
      events: lines.map(parseEvent),
      complaint: (complaint.trim().split('\n').at(-1) ?? '').slice(0, MAX_COMPLAINT),
    };
  } finally {
    clearTimeout(timer);
  }
}

/** `[id, title]` before a probe, and the same with its evidence after it. Our own code speaks, next to nothing else. */
function parseEvent(line: string): ProbeEvent {
  const [id, title, evidence] = JSON.parse(line) as readonly [string, string, unknown];
  if (evidence === undefined) return [id, title];
  return [id, title, evidence === null ? null : JSON.stringify(evidence).slice(0, MAX_COMPLAINT)];
}

// The cage as configured: what holds every worker, proven by attacks before the first model enters it.
import type { Settings } from '../config/index.ts';
import { defaultLimits, underCeiling, type IsolationLevel, type WorkerLimits } from '../policy/index.ts';
import type { WorkerSpec } from '../serving/index.ts';
import {
  assertContained,
  createCage,
  describeIsolation,
  runBootProbes,
  type Cage,
  type CagePlan,
  type IsolationDescription,
  type ProbeReport,
} from '../workers/index.ts';
import type { Machine } from './machine.ts';

export interface Isolation {
  /** Nothing is started in it before it is proven. */
  readonly cage: Cage;
  /** Rejects with `invalid_configuration` when an attack got through. null at level `none`, where none is tried. */
  readonly proven: Promise<ProbeReport | null>;
  limitsFor(spec: WorkerSpec): WorkerLimits;
  /** For describe: level and limits in force for a worker. */
  describeFor(spec: WorkerSpec): Readonly<Record<string, unknown>>;
  /** For `GET /isolation`. */
  describe(report: ProbeReport | null): IsolationDescription;
}

/** The cage of the operator's settings, at any level. Throws `invalid_configuration` when this machine cannot give it. */
export function configuredCage(workers: Settings['workers'], level: IsolationLevel): Promise<Cage> {
  return createCage({
    level,
    python: workers.python,
    firstWorkerUid: workers.firstUid,
    allowSubprocess: workers.allowsSubprocess,
    allowUnixSockets: workers.allowsUnixSockets,
  });
}

type Say = (level: 'info' | 'warn', message: string) => void;

/** Throws `invalid_configuration` when this machine cannot give the level. The attacks go on while the start does. */
export async function openIsolation({ workers }: Settings, machine: Machine, say: Say): Promise<Isolation> {
  const { isolation: level, python } = workers;
  const cage = await configuredCage(workers, level);
  const proven = level === 'none' ? Promise.resolve(null) : prove(cage, python, say);
  // Whoever starts a worker or opens a door hears of it.
  proven.catch(() => {});
  if (level === 'none') announce(cage.plan, say);
  const limitsFor = ({ threads, artifactBytes, askedLimits }: WorkerSpec): WorkerLimits => {
    const ceiling = ceilingOf(
      workers.limits,
      defaultLimits({ memoryBytes: machine.memoryBytes, artifactBytes, threads }),
    );
    return isRecord(askedLimits) ? underCeiling(ceiling, askedLimits) : ceiling;
  };
  return {
    cage: {
      plan: cage.plan,
      async wrap(request) {
        await proven;
        return cage.wrap(request);
      },
    },
    proven,
    limitsFor,
    describeFor: (spec) => (level === 'none' ? { level } : { level, limits: limitsFor(spec) }),
    describe: (report) => describeIsolation(cage, report),
  };
}

async function prove(cage: Cage, python: string, say: Say): Promise<ProbeReport> {
  const report = await runBootProbes(cage, { python });
  assertContained(report);
  announce(cage.plan, say, `; ${report.blocked.length} attacks from inside stopped in ${report.tookMs} ms`);
  return report;
}

function announce({ level, mechanism, limits, degraded }: CagePlan, say: Say, proof = ''): void {
  if (level === 'none') {
    say('warn', 'Isolation: NONE. A model can do whatever this server can: read its keys, its files, its network.');
    return;
  }
  const holders = Object.entries(limits).map(([limit, holder]) => `${limit} by ${holder}`);
  say('info', `Isolation: ${level}: ${mechanism.join('; ')}; limits: ${holders.join(', ')}${proof}`);
  for (const sentence of degraded) say('warn', `Isolation: ${sentence}`);
}

/** What the operator set, over what the machine and the model suggest. */
function ceilingOf(
  { memoryBytes, tasks, cpus, ...set }: Settings['workers']['limits'],
  base: WorkerLimits,
): WorkerLimits {
  return {
    ...set,
    memoryBytes: memoryBytes ?? base.memoryBytes,
    tasks: tasks ?? base.tasks,
    cpus: cpus === 'auto' ? base.cpus : cpus,
  };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

// How this machine can hold a level of isolation, or the refusal that names what is missing and what mends it.
import { Fault } from '../../kernel/index.ts';
import { ARCHITECTURES, type Architecture } from '../../policy/index.ts';
import { findCgroups, type CgroupHost } from './cgroup.ts';
import type { CageOptions } from './contract.ts';
import {
  canUnshareMounts,
  installHint,
  isFinding,
  judgeLandlock,
  probeBubblewrap,
  probeLandlock,
  type Finding,
} from './host.ts';
import { findProgram } from './interpreter.ts';
import type { ProcessCage } from './process-level.ts';
import { planReach } from './reach.ts';
import { stagePaths } from './stage.ts';
import type { StrictCage } from './strict.ts';
import { withTargets } from './wanted-paths.ts';
import { sweepWorkerFolders } from './worker-folder.ts';
import { WorkerUids } from './worker-uids.ts';

/** How a level wraps a worker. */
export type Mechanics =
  | { readonly level: 'strict'; readonly cage: StrictCage }
  | { readonly level: 'process'; readonly cage: ProcessCage }
  | { readonly level: 'none' };

export interface Host {
  readonly isRoot: boolean;
  readonly uids: WorkerUids;
  readonly canUnshare: boolean;
  readonly cgroups: CgroupHost | null;
}

export async function lookAround(options: CageOptions): Promise<Host> {
  const isRoot = process.getuid?.() === 0;
  return {
    isRoot,
    uids: new WorkerUids(options.firstWorkerUid),
    canUnshare: isRoot && (await canUnshareMounts()),
    cgroups: options.level === 'none' ? null : findCgroups(),
  };
}

/** Throws `invalid_configuration`: never settles for less than was asked for. */
export async function mechanicsOf(options: CageOptions, host: Host): Promise<Mechanics> {
  if (options.level === 'none') return { level: 'none' };
  if (host.isRoot && findProgram('setpriv') === null) throw refusal(options.level, withoutUtilLinux('setpriv'));
  const filter = {
    allowSubprocess: options.allowSubprocess ?? true,
    allowUnixSockets: options.level === 'strict' && (options.allowUnixSockets ?? false),
    allowMemfd: host.cgroups !== null,
  };
  const common = { architecture: thisArchitecture(), filter };
  return options.level === 'process'
    ? { level: 'process', cage: { ...common, ...(await processMechanics(options, host)) } }
    : { level: 'strict', cage: { ...common, ...(await strictMechanics(options, host)) } };
}

async function processMechanics(
  { python }: CageOptions,
  host: Host,
): Promise<Omit<ProcessCage, 'architecture' | 'filter'>> {
  const landlock = await probeLandlock(python);
  if (isFinding(landlock)) throw refusal('process', landlock);
  const finding = judgeLandlock(landlock.abi);
  if (finding !== null) throw refusal('process', finding);
  await sweepWorkerFolders((uid) => host.isRoot && host.uids.includes(uid));
  return { landlock, sharesUid: !host.isRoot, hasOwnShm: host.canUnshare };
}

async function strictMechanics(
  { python }: CageOptions,
  host: Host,
): Promise<Omit<StrictCage, 'architecture' | 'filter'>> {
  const uid = host.isRoot ? host.uids.take() : undefined;
  const [landlock, bubblewrap] = await Promise.all([probeLandlock(python), probeBubblewrap(uid)]);
  if (uid !== undefined) host.uids.give(uid);
  if (isFinding(bubblewrap)) throw refusal('strict', bubblewrap);
  const prlimit = findProgram('prlimit');
  if (prlimit === null) throw refusal('strict', withoutUtilLinux('prlimit'));
  const landlockAbi = isFinding(landlock) ? 0 : landlock.abi;
  const stagePython = isFinding(landlock) || !isReachable(landlock.python, host) ? null : landlock.python;
  return { bubblewrap, prlimit, landlockAbi, stagePython };
}

/** Whether the uids of workers get to a stage's Python: in a home of root's they need private mounts. */
function isReachable(python: string, { isRoot, canUnshare }: Host): boolean {
  if (!isRoot) return true;
  const { blocked, closed } = planReach(withTargets(stagePaths(python)));
  return closed.length === 0 && (canUnshare || blocked.length === 0);
}

function refusal(level: string, finding: Finding): Fault {
  return new Fault(
    'invalid_configuration',
    `Isolation level "${level}" cannot be had: ${finding.missing}. To get it: ${finding.remedy}`,
  );
}

function withoutUtilLinux(program: string): Finding {
  return { missing: `${program} is not installed`, remedy: installHint('util-linux') };
}

function thisArchitecture(): Architecture {
  const found = ARCHITECTURES.find((architecture) => architecture === process.arch);
  if (found !== undefined && process.platform === 'linux') return found;
  throw new Fault(
    'invalid_configuration',
    `Workers can be isolated on Linux for x64 and arm64 only, not on ${process.platform} ${process.arch}.`,
  );
}

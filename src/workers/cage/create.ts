// Builds the cage of a server: looks at the machine, refuses what it cannot promise, wraps one worker at a time.
import { Fault } from '../../kernel/index.ts';
import { ARCHITECTURES, type Architecture } from '../../policy/index.ts';
import { findCgroups, makeWorkerCgroup, type CgroupHost } from './cgroup.ts';
import { assemble, uncaged } from './caged-command.ts';
import type { Cage, CagedCommand, CageOptions, CagePlan, WrapRequest } from './contract.ts';
import { Holdings } from './holdings.ts';
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
import { TreeWatch, type TreeBounds } from './tree-watch.ts';
import { describePlan } from './plan.ts';
import { wrapProcess, type ProcessCage } from './process-level.ts';
import { planReach } from './reach.ts';
import { chain } from './root-chain.ts';
import { stagePaths } from './stage.ts';
import { WRITABLE, wrapStrict, type StrictCage } from './strict.ts';
import { WantedPaths, withTargets, type Wanted } from './wanted-paths.ts';
import { sweepWorkerFolders } from './worker-folder.ts';
import { WorkerUids } from './worker-uids.ts';

/**
 * Finds out whether the level can be had. Throws `invalid_configuration` that names what is missing and the remedy;
 * it never settles for less than was asked for.
 */
export async function createCage(options: CageOptions): Promise<Cage> {
  const host = await lookAround(options);
  const mechanics = await mechanicsOf(options, host);
  return new HostCage(describePlan(mechanics, host), mechanics, host);
}

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

async function lookAround(options: CageOptions): Promise<Host> {
  const isRoot = process.getuid?.() === 0;
  return {
    isRoot,
    uids: new WorkerUids(options.firstWorkerUid),
    canUnshare: isRoot && (await canUnshareMounts()),
    cgroups: options.level === 'none' ? null : findCgroups(),
  };
}

async function mechanicsOf(options: CageOptions, host: Host): Promise<Mechanics> {
  if (options.level === 'none') return { level: 'none' };
  const architecture = thisArchitecture();
  const filter = {
    allowSubprocess: options.allowSubprocess ?? true,
    allowUnixSockets: options.level === 'strict' && (options.allowUnixSockets ?? false),
    allowMemfd: host.cgroups !== null,
  };
  if (host.isRoot && findProgram('setpriv') === null) {
    throw refusal(options.level, { missing: 'setpriv is not installed', remedy: installHint('util-linux') });
  }
  const landlock = await probeLandlock(options.python);
  if (options.level === 'process') {
    if (isFinding(landlock)) throw refusal('process', landlock);
    const finding = judgeLandlock(landlock.abi);
    if (finding !== null) throw refusal('process', finding);
    await sweepWorkerFolders((uid) => host.isRoot && host.uids.includes(uid));
    return {
      level: 'process',
      cage: { architecture, landlock, filter, sharesUid: !host.isRoot, hasOwnShm: host.canUnshare },
    };
  }
  const uid = host.isRoot ? host.uids.take() : undefined;
  const bubblewrap = await probeBubblewrap(uid);
  if (uid !== undefined) host.uids.give(uid);
  if (isFinding(bubblewrap)) throw refusal('strict', bubblewrap);
  const prlimit = findProgram('prlimit');
  if (prlimit === null) {
    throw refusal('strict', { missing: 'prlimit is not installed', remedy: installHint('util-linux') });
  }
  const landlockAbi = isFinding(landlock) ? 0 : landlock.abi;
  const stagePython = isFinding(landlock) || !isReachable(landlock.python, host) ? null : landlock.python;
  return { level: 'strict', cage: { architecture, bubblewrap, prlimit, landlockAbi, stagePython, filter } };
}

/** Whether the uids of workers get to a stage's Python: in a home of root's they need private mounts. */
function isReachable(python: string, { isRoot, canUnshare }: Host): boolean {
  if (!isRoot) return true;
  const { blocked, closed } = planReach(withTargets(stagePaths(python)));
  return closed.length === 0 && (canUnshare || blocked.length === 0);
}

/** The Python that starts this worker, where it is not started at once. */
function stageOf(mechanics: Exclude<Mechanics, { level: 'none' }>, { runtime }: WrapRequest): string | null {
  if (mechanics.level === 'process') return mechanics.cage.landlock.python;
  return runtime === 'python' ? null : mechanics.cage.stagePython;
}

function refusal(level: string, finding: Finding): Fault {
  return new Fault(
    'invalid_configuration',
    `Isolation level "${level}" cannot be had: ${finding.missing}. To get it: ${finding.remedy}`,
  );
}

function thisArchitecture(): Architecture {
  const found = ARCHITECTURES.find((architecture) => architecture === process.arch);
  if (found !== undefined && process.platform === 'linux') return found;
  throw new Fault(
    'invalid_configuration',
    `Workers can be isolated on Linux for x64 and arm64 only, not on ${process.platform} ${process.arch}.`,
  );
}

class HostCage implements Cage {
  readonly plan: CagePlan;
  readonly #mechanics: Mechanics;
  readonly #host: Host;
  readonly #wanted = new WantedPaths();
  readonly #watch = new TreeWatch();
  #count = 0;

  constructor(plan: CagePlan, mechanics: Mechanics, host: Host) {
    this.plan = plan;
    this.#mechanics = mechanics;
    this.#host = host;
  }

  async wrap(request: WrapRequest): Promise<CagedCommand> {
    if (this.#mechanics.level === 'none') return uncaged(request);
    const wanted = await this.#wanted.of(request);
    const held = new Holdings();
    try {
      return this.#wrap(this.#mechanics, request, wanted, held);
    } catch (error) {
      await held.giveBack();
      throw error;
    }
  }

  #wrap(
    mechanics: Exclude<Mechanics, { level: 'none' }>,
    request: WrapRequest,
    wanted: Wanted,
    held: Holdings,
  ): CagedCommand {
    const uid = this.#host.isRoot ? held.uid(this.#host.uids) : undefined;
    const tmp = mechanics.level === 'process' ? held.folder(uid) : undefined;
    const wrapped =
      mechanics.level === 'strict'
        ? wrapStrict(mechanics.cage, request, wanted)
        : wrapProcess(mechanics.cage, request, wanted, tmp ?? '/tmp');
    const cgroup =
      this.#host.cgroups === null ? null : makeWorkerCgroup(this.#host.cgroups, (this.#count += 1), request.limits);
    if (cgroup !== null) held.onGiveBack(() => cgroup.dispose());
    const python = stageOf(mechanics, request);
    const stage = python === null ? [] : stagePaths(python);
    const [file = '', ...args] = chain(
      {
        uid,
        canUnshare: this.#host.canUnshare,
        paths: withTargets([...wanted.paths, request.modelDir, ...stage]),
        cgroupEntrances: cgroup?.entrances ?? [],
        ...(tmp === undefined ? {} : { tmp: { path: tmp, bytes: request.limits.tmpBytes } }),
      },
      wrapped.command,
    );
    const bounds: TreeBounds = {
      memoryBytes: cgroup === null ? request.limits.memoryBytes : null,
      tasks: uid === undefined && mechanics.level === 'process' ? request.limits.tasks : null,
      folder: tmp === undefined || this.#host.canUnshare ? null : { path: tmp, bytes: request.limits.tmpBytes },
      // Where a memory cgroup counts what their files cost the kernel, it bounds them.
      mounts: cgroup === null && mechanics.level === 'strict' ? WRITABLE : null,
    };
    return assemble({
      file,
      args,
      wrapped,
      held,
      bounds,
      watch: this.#watch,
      folder: tmp,
      oomKills: cgroup?.oomKills ?? null,
    });
  }
}

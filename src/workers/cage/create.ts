// Builds the cage of a server: looks at the machine, refuses what it cannot promise, wraps one worker at a time.
import type { WorkerLimits } from '../../policy/index.ts';
import { makeWorkerCgroup } from './cgroup.ts';
import { assemble, uncaged } from './caged-command.ts';
import type { Cage, CagedCommand, CageOptions, CagePlan, WrapRequest } from './contract.ts';
import { Holdings } from './holdings.ts';
import { lookAround, mechanicsOf, type Host, type Mechanics } from './mechanics.ts';
import { TreeWatch, type TreeBounds } from './tree-watch.ts';
import { describePlan } from './plan.ts';
import { wrapProcess } from './process-level.ts';
import { chain } from './root-chain.ts';
import { stagePaths } from './stage.ts';
import { WRITABLE, wrapStrict } from './strict.ts';
import { WantedPaths, withTargets, type Wanted } from './wanted-paths.ts';

/**
 * Finds out whether the level can be had. Throws `invalid_configuration` that names what is missing and the remedy;
 * it never settles for less than was asked for.
 */
export async function createCage(options: CageOptions): Promise<Cage> {
  const host = await lookAround(options);
  const mechanics = await mechanicsOf(options, host);
  return new HostCage(describePlan(mechanics, host), mechanics, host);
}

/** The Python that starts this worker, where it is not started at once. */
function stageOf(mechanics: Exclude<Mechanics, { level: 'none' }>, { runtime }: WrapRequest): string | null {
  if (mechanics.level === 'process') return mechanics.cage.landlock.python;
  return runtime === 'python' ? null : mechanics.cage.stagePython;
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
    const bounds = this.#unbounded(mechanics, request.limits, { uid, tmp, hasCgroup: cgroup !== null });
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

  /** What the kernel does not bound by itself. */
  #unbounded(
    mechanics: Exclude<Mechanics, { level: 'none' }>,
    limits: WorkerLimits,
    given: { readonly uid: number | undefined; readonly tmp: string | undefined; readonly hasCgroup: boolean },
  ): TreeBounds {
    const { uid, tmp, hasCgroup } = given;
    // Where a memory cgroup counts what temporary files cost the kernel, it bounds them, but for a size of their own.
    const hasBoundMounts = mechanics.level === 'process' || (hasCgroup && mechanics.cage.bubblewrap.hasSize);
    return {
      memoryBytes: hasCgroup ? null : limits.memoryBytes,
      tasks: uid === undefined && mechanics.level === 'process' ? limits.tasks : null,
      folder: tmp === undefined || this.#host.canUnshare ? null : { path: tmp, bytes: limits.tmpBytes },
      mounts: hasBoundMounts ? null : { paths: WRITABLE, bytes: limits.tmpBytes },
    };
  }
}

// What the launcher gets: a command to spawn, a watch over what it spawned, and the cause of its death.
import type { CagedCommand, WrapRequest } from './contract.ts';
import { exitCause } from './exit-cause.ts';
import { Holdings } from './holdings.ts';
import { noteGroup } from './left-group.ts';
import { endGroup } from './spawn.ts';
import type { Wrapped } from './strict.ts';
import type { Excess, TreeBounds, TreeWatch } from './tree-watch.ts';

export interface Parts {
  readonly file: string;
  readonly args: readonly string[];
  readonly wrapped: Wrapped;
  readonly held: Holdings;
  /** What the kernel does not bound by itself. */
  readonly bounds: TreeBounds;
  readonly watch: TreeWatch;
  /** For temporary files, at `process`. */
  readonly folder: string | undefined;
  /** null without a memory cgroup. */
  readonly oomKills: (() => number) | null;
}

export function assemble({ file, args, wrapped, held, bounds, watch, folder, oomKills }: Parts): CagedCommand {
  let excess: Excess | null = null;
  return {
    file,
    args,
    env: wrapped.env,
    cwd: '/',
    extraFds: held.fds(wrapped.contents),
    modelDir: wrapped.modelDir,
    gpuId: wrapped.gpuId,
    innerCage: wrapped.innerCage,
    attach: (pid) => {
      held.onGiveBack(() => endGroup(pid));
      if (folder !== undefined) noteGroup(folder, pid);
      if (Object.values(bounds).every((bound) => bound === null)) return;
      const stop = watch.add(pid, bounds, (found) => {
        excess = found;
        endGroup(pid);
      });
      held.onGiveBack(stop);
    },
    exitCause: (exitCode, signal) => exitCause(exitCode, signal, { oomKills: oomKills?.() ?? 0, excess }),
    dispose: () => held.giveBack(),
  };
}

export function uncaged(request: WrapRequest): CagedCommand {
  const held = new Holdings();
  return {
    file: request.file,
    args: request.args,
    env: { PATH: process.env['PATH'] ?? '', ...request.env },
    cwd: request.modelDir,
    extraFds: [],
    modelDir: request.modelDir,
    gpuId: request.gpuId,
    innerCage: null,
    attach: (pid) => held.onGiveBack(() => endGroup(pid)),
    exitCause: (exitCode, signal) => exitCause(exitCode, signal, { oomKills: 0, excess: null }),
    dispose: () => held.giveBack(),
  };
}

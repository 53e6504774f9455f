// Level `strict`: bubblewrap around the worker, an allowlist of syscalls inside, then what the worker adds itself.
import { existsSync } from 'node:fs';
import { innerFilter, workerFilter, type Architecture, type FilterOptions } from '../../policy/index.ts';
import { bubblewrapArguments } from './bubblewrap.ts';
import type { WrapRequest } from './contract.ts';
import { workerEnvironment } from './environment.ts';
import { gpuDevices, GPU_PATHS } from './gpu.ts';
import type { BubblewrapHost } from './host.ts';
import type { Content } from './holdings.ts';
import { prlimitArguments, resourceLimits } from './limits.ts';
import { compileFilter } from './seccomp.ts';
import { stageCommand, stageFilter, SYSTEM_FOLDERS, withStage } from './stage.ts';
import type { Wanted } from './wanted-paths.ts';

export interface StrictCage {
  readonly architecture: Architecture;
  readonly bubblewrap: BubblewrapHost;
  readonly prlimit: string;
  /** Below `USEFUL_LANDLOCK_ABI` the second stage is the filter alone. */
  readonly landlockAbi: number;
  /** Carries the second stage into Node workers, which cannot restrict themselves; null: they go without. */
  readonly stagePython: string | null;
  readonly filter: Pick<FilterOptions, 'allowSubprocess' | 'allowUnixSockets' | 'allowMemfd'>;
}

export interface Wrapped {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What the child reads from descriptors 4, 5, …, in this order. */
  readonly contents: readonly Content[];
  readonly modelDir: string;
  readonly gpuId: number | null;
  readonly innerCage: Readonly<Record<string, unknown>> | null;
}

/** The first that lets files be moved from one folder to another: without it, libraries could not fill their caches. */
export const USEFUL_LANDLOCK_ABI = 2;
const MODEL_DIR = '/model';
const HOME = '/tmp';
/** The only folders that a worker may write, each a tmpfs of its own. */
export const WRITABLE: readonly string[] = [HOME, '/dev/shm'];
const SECCOMP_FD = 4;
const ARGUMENTS_FD = 5;
/** Parts of /usr that no worker needs: other programs to run, other sources to read. */
const HIDDEN = ['/usr/local', '/usr/src', '/usr/share/doc', '/usr/sbin', '/usr/games'];

export function wrapStrict(cage: StrictCage, request: WrapRequest, wanted: Wanted): Wrapped {
  const allowSubprocess = cage.filter.allowSubprocess && request.runtime !== 'onnx';
  const devices = request.gpuId === null ? [] : gpuDevices(request.gpuId);
  const filter = workerFilter({
    ...cage.filter,
    allowSubprocess,
    gpu: devices.length > 0,
    pinToSelf: false,
    keepInGroup: false,
    sharesOwner: false,
    isFinal: false,
  });
  // Python puts the second stage on itself, once its framework is imported; Node is started by one that has.
  const stagePython = request.runtime === 'python' ? null : cage.stagePython;
  const seen = stagePython === null ? wanted : withStage(wanted, stagePython);
  const env = workerEnvironment(request, wanted.program, HOME);
  const modelFd = cage.bubblewrap.hasBindFd ? ARGUMENTS_FD + 1 : null;
  const view = bubblewrapArguments({
    readOnly: seen.paths,
    hidden: hiddenFolders(seen),
    model: { from: request.modelDir, fd: modelFd, to: MODEL_DIR },
    tmpBytes: cage.bubblewrap.hasSize ? request.limits.tmpBytes : null,
    env,
    devices,
    gpuPaths: devices.length > 0 ? GPU_PATHS : [],
    hasDisableUserns: cage.bubblewrap.hasDisableUserns,
    seccompFd: SECCOMP_FD,
  });
  const limits = prlimitArguments(resourceLimits(request.limits, request.runtime, devices.length > 0));
  const worker = { file: wanted.program, args: request.args, env, cwd: MODEL_DIR };
  const stageFd = (modelFd ?? ARGUMENTS_FD) + 1;
  const start = stagePython === null ? [worker.file, ...worker.args] : stageCommand(stagePython, stageFd);
  return {
    command: [
      ...[cage.bubblewrap.path, '--args', String(ARGUMENTS_FD), '--'],
      ...[cage.prlimit, ...limits, '--', ...start],
    ],
    // bubblewrap stays as the first process of the worker's world: what it has in its environment could be read there.
    env: {},
    contents: [
      compileFilter(filter, cage.architecture).bytes,
      `${view.join('\0')}\0`,
      ...(modelFd === null ? [] : [{ folder: request.modelDir }]),
      ...(stagePython === null
        ? []
        : [JSON.stringify({ closeFrom: SECCOMP_FD, ...secondStage(cage, seen, true), command: worker })]),
    ],
    modelDir: MODEL_DIR,
    gpuId: devices.length > 0 ? 0 : request.gpuId,
    innerCage: request.runtime === 'python' ? secondStage(cage, seen, cage.filter.allowSubprocess) : null,
  };
}

/**
 * For `cage.apply`: nothing is writable but the private folders, nothing in them can be run, no TCP, no signals out, and
 * the narrower filter.
 */
function secondStage(cage: StrictCage, seen: Wanted, allowSubprocess: boolean): Readonly<Record<string, unknown>> {
  const programs = [...SYSTEM_FOLDERS, ...seen.paths];
  const rules = { minAbi: USEFUL_LANDLOCK_ABI, read: ['/'], execute: programs, write: WRITABLE, device: ['/dev'] };
  return {
    ...(cage.landlockAbi >= USEFUL_LANDLOCK_ABI ? { landlock: rules } : {}),
    filter: stageFilter(innerFilter({ allowSubprocess }), cage.architecture),
  };
}

/** Looked for in /usr itself: a folder that does not exist there cannot be covered, since /usr is read-only. */
function hiddenFolders(wanted: Wanted): string[] {
  return HIDDEN.filter(
    (folder) => existsSync(folder) && !wanted.insideUsr.some((path) => path.startsWith(`${folder}/`)),
  );
}

// Level `strict`: bubblewrap around the worker, an allowlist of syscalls inside, then what the worker adds itself.
import { existsSync } from 'node:fs';
import { innerFilter, workerFilter, type Architecture, type FilterOptions } from '../../policy/index.ts';
import { bubblewrapArguments } from './bubblewrap.ts';
import type { WrapRequest } from './contract.ts';
import { workerEnvironment } from './environment.ts';
import { gpuDevices, GPU_PATHS } from './gpu.ts';
import type { BubblewrapHost } from './host.ts';
import { prlimitArguments, resourceLimits } from './limits.ts';
import { compileFilter } from './seccomp.ts';
import type { Wanted } from './wanted-paths.ts';

export interface StrictCage {
  readonly architecture: Architecture;
  readonly bubblewrap: BubblewrapHost;
  readonly prlimit: string;
  /** 0 where there is none: then the second stage is the filter alone. */
  readonly landlockAbi: number;
  readonly filter: Omit<FilterOptions, 'gpu' | 'pinToSelf' | 'keepInGroup'>;
}

export interface Wrapped {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What the child reads from descriptors 4, 5, …, in this order. */
  readonly contents: readonly (string | Uint8Array)[];
  readonly modelDir: string;
  readonly gpuId: number | null;
  readonly innerCage: Readonly<Record<string, unknown>> | null;
}

const MODEL_DIR = '/model';
const HOME = '/tmp';
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
  });
  const view = bubblewrapArguments({
    readOnly: wanted.paths,
    hidden: hiddenFolders(wanted),
    model: { from: request.modelDir, to: MODEL_DIR },
    tmpBytes: request.limits.tmpBytes,
    env: workerEnvironment(request, wanted.program, HOME),
    devices,
    gpuPaths: devices.length > 0 ? GPU_PATHS : [],
    hasDisableUserns: cage.bubblewrap.hasDisableUserns,
    seccompFd: SECCOMP_FD,
  });
  const limits = prlimitArguments(resourceLimits(request.limits, request.runtime, devices.length > 0));
  return {
    command: [
      ...[cage.bubblewrap.path, '--args', String(ARGUMENTS_FD), '--'],
      ...[cage.prlimit, ...limits, '--', wanted.program, ...request.args],
    ],
    // bubblewrap stays as the first process of the worker's world: what it has in its environment could be read there.
    env: {},
    contents: [compileFilter(filter, cage.architecture).bytes, `${view.join('\0')}\0`],
    modelDir: MODEL_DIR,
    gpuId: devices.length > 0 ? 0 : request.gpuId,
    innerCage: request.runtime === 'python' ? secondStage(cage) : null,
  };
}

/** For `cage.apply`: nothing is writable but the private folders, no TCP, no signals out, and the narrower filter. */
function secondStage(cage: StrictCage): Readonly<Record<string, unknown>> {
  const filter = compileFilter(innerFilter(cage.filter), cage.architecture);
  const rules = { minAbi: 1, execute: ['/'], write: ['/tmp', '/dev/shm'], device: ['/dev'] };
  return {
    ...(cage.landlockAbi > 0 ? { landlock: rules } : {}),
    filter: { program: Buffer.from(filter.bytes).toString('base64'), selfSlots: filter.selfSlots },
  };
}

/** Looked for in /usr itself: a folder that does not exist there cannot be covered, since /usr is read-only. */
function hiddenFolders(wanted: Wanted): string[] {
  return HIDDEN.filter(
    (folder) => existsSync(folder) && !wanted.insideUsr.some((path) => path.startsWith(`${folder}/`)),
  );
}

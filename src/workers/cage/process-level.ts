// Level `process`: a small Python stage puts limits, Landlock and the allowlist on itself, then becomes the worker.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { workerFilter, innerFilter, type Architecture, type FilterOptions } from '../../policy/index.ts';
import type { WrapRequest } from './contract.ts';
import { workerEnvironment } from './environment.ts';
import { gpuDevices, GPU_PATHS } from './gpu.ts';
import { MIN_LANDLOCK_ABI, type LandlockHost } from './host.ts';
import { resourceLimits } from './limits.ts';
import { stageCommand, stageFilter, SYSTEM_FOLDERS } from './stage.ts';
import type { Wrapped } from './strict.ts';
import type { Wanted } from './wanted-paths.ts';

export interface ProcessCage {
  readonly architecture: Architecture;
  readonly landlock: LandlockHost;
  readonly filter: Pick<FilterOptions, 'allowSubprocess' | 'allowUnixSockets' | 'allowMemfd'>;
  /** Whether /dev/shm is private: without it there are no named semaphores, so no `multiprocessing` pools. */
  readonly hasOwnShm: boolean;
  /** Whether the worker shares its uid, and so its count of tasks, with the server and its siblings. */
  readonly sharesUid: boolean;
}

const SPEC_FD = 4;
const MODEL_FD = 5;
const LANDLOCK_ABI_WITH_SIGNALS = 6;
/** RLIMIT_NPROC counts everything a uid runs: on a shared uid it can only stop a bomb, not share out fairly. */
const SHARED_UID_TASKS = 4096;

const READ = [
  ...[
    '/etc/ld.so.cache',
    '/etc/ld.so.conf',
    '/etc/ld.so.conf.d',
    '/etc/alternatives',
    '/etc/localtime',
    '/etc/mime.types',
  ],
  ...['/proc/cpuinfo', '/proc/meminfo'],
];
const DEVICES = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom'];

export function wrapProcess(cage: ProcessCage, request: WrapRequest, wanted: Wanted, tmp: string): Wrapped {
  const allowSubprocess = cage.filter.allowSubprocess && request.runtime !== 'onnx';
  const devices = request.gpuId === null ? [] : gpuDevices(request.gpuId);
  const hasGpu = devices.length > 0;
  const limits = resourceLimits(request.limits, request.runtime, hasGpu);
  const filter = workerFilter({
    ...cage.filter,
    // The stage itself becomes the worker by execve, so children can only be refused as clones.
    allowSubprocess,
    allowUnixSockets: false,
    gpu: hasGpu,
    // Before ABI 6, Landlock lets signals out: a second server on this machine would use the same range of uids.
    pinToSelf: cage.sharesUid || cage.landlock.abi < LANDLOCK_ABI_WITH_SIGNALS,
    keepInGroup: true,
    sharesOwner: cage.sharesUid,
    // A Python worker narrows its filter itself, once its framework is imported.
    isFinal: request.runtime !== 'python',
  });
  const spec = {
    closeFrom: SPEC_FD,
    dieWithParent: true,
    adoptOrphans: true,
    rlimits: cage.sharesUid ? { ...limits, NPROC: Math.max(SHARED_UID_TASKS, request.limits.tasks) } : limits,
    landlock: {
      minAbi: MIN_LANDLOCK_ABI,
      read: [...READ, ...packageFiles(request, wanted), ...(hasGpu ? GPU_PATHS : [])],
      readDescriptors: [MODEL_FD],
      execute: [...SYSTEM_FOLDERS, ...wanted.paths],
      write: cage.hasOwnShm ? [tmp, '/dev/shm'] : [tmp],
      device: [...DEVICES, ...devices],
    },
    filter: stageFilter(filter, cage.architecture),
    command: {
      file: wanted.program,
      args: request.args,
      env: workerEnvironment(request, wanted.program, tmp),
      cwd: request.modelDir,
    },
  };
  return {
    command: stageCommand(cage.landlock.python, SPEC_FD),
    env: {},
    contents: [JSON.stringify(spec), { folder: request.modelDir }],
    modelDir: request.modelDir,
    gpuId: request.gpuId,
    innerCage:
      request.runtime === 'python' ? { filter: stageFilter(innerFilter(cage.filter), cage.architecture) } : null,
  };
}

/** Node looks for a package.json in every folder above a module, and takes "permission denied" for the end of the world. */
function packageFiles(request: WrapRequest, wanted: Wanted): string[] {
  if (request.runtime === 'python') return [];
  const files = new Set<string>();
  for (const path of [request.modelDir, ...wanted.paths]) {
    for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) files.add(join(folder, 'package.json'));
  }
  return [...files].filter((file) => existsSync(file));
}

// Which program serves each runtime, and with what environment. Nothing of the server's own environment leaks in.
import { existsSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorkerSpec } from '../serving/index.ts';

export interface WorkerCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Folders beyond the model's own that the program reads. */
  readonly readOnlyPaths: readonly string[];
}

/** The package's root: `python/` is beside `src/` in a checkout and beside `dist/` when installed. */
const PACKAGE_ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const PYTHON_DIR = join(PACKAGE_ROOT, 'python');
/** `.ts` in a checkout, `.js` once compiled: whatever this file is. */
const MODULE_SUFFIX = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const NODE_WORKER = join(dirname(fileURLToPath(import.meta.url)), 'node-worker', `main${MODULE_SUFFIX}`);

export function workerCommand(spec: WorkerSpec, operatorEnv: Readonly<Record<string, string>>): WorkerCommand {
  const env = { ...operatorEnv, ...threadEnv(spec.threads), ...deviceEnv(spec.gpuId) };
  if (spec.runtime === 'python') {
    return {
      file: spec.interpreter ?? 'python3',
      args: ['-I', '-B', join(PYTHON_DIR, 'davy_worker', '__main__.py')],
      env: { ...env, PYTHONUNBUFFERED: '1' },
      readOnlyPaths: spec.packagesDir === null ? [PYTHON_DIR] : [PYTHON_DIR, spec.packagesDir],
    };
  }
  return {
    file: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', NODE_WORKER, spec.runtime],
    env,
    readOnlyPaths: nodeWorkerPaths(),
  };
}

function nodeWorkerPaths(): string[] {
  const candidates = [
    join(PACKAGE_ROOT, 'package.json'),
    join(PACKAGE_ROOT, 'node_modules'),
    ...hoistedModules(PACKAGE_ROOT),
    dirname(dirname(NODE_WORKER)),
  ];
  return candidates.filter((path) => existsSync(path));
}

/** Of an installed package, npm and pnpm put the dependencies somewhere into the `node_modules` that holds it. */
export function hoistedModules(packageRoot: string): readonly string[] {
  const folders = packageRoot.split(sep);
  const at = folders.indexOf('node_modules');
  return at < 0 ? [] : [folders.slice(0, at + 1).join(sep)];
}

/** The variables that numerical libraries read for their thread pools (design.md section 4). */
function threadEnv(threads: number): Record<string, string> {
  const count = String(threads);
  return {
    OMP_NUM_THREADS: count,
    MKL_NUM_THREADS: count,
    OPENBLAS_NUM_THREADS: count,
    NUMEXPR_NUM_THREADS: count,
    VECLIB_MAXIMUM_THREADS: count,
  };
}

/** A CPU worker is told that there is no GPU, so that no framework initialises one behind the allocator's back. */
function deviceEnv(gpuId: number | null): Record<string, string> {
  return gpuId === null ? { CUDA_VISIBLE_DEVICES: '' } : {};
}

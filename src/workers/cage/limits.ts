// Resource limits that a process carries with it (setrlimit), for all three levels of isolation.
import type { WorkerLimits } from '../../policy/index.ts';
import type { Runtime } from '../../serving/index.ts';

/** Pending signals: a worker has no use for more than a few. */
const PENDING_SIGNALS = 256;
/** What an unprivileged process may lock by default. */
const LOCKED_BYTES = 65_536;

/** Less than any core file needs, and the one value with which the kernel starts no core_pattern program: with 0 it does. */
const NO_CORE_BYTES = 1;

/** V8 maps half a gigabyte before the first script runs, and more with more cores, nearly all of it never touched. */
const V8_RESERVE_BYTES = 1024 ** 3;

/**
 * Names as in setrlimit, without RLIMIT_. DATA counts one process, but answers with a clean MemoryError instead of a
 * kill; it would also count what a GPU driver maps, so workers with a GPU go without.
 */
export function resourceLimits(limits: WorkerLimits, runtime: Runtime, hasGpu: boolean): Record<string, number> {
  const reserve = runtime === 'python' ? 0 : V8_RESERVE_BYTES;
  return {
    NOFILE: limits.openFiles,
    NPROC: limits.tasks,
    FSIZE: limits.fileBytes,
    CORE: NO_CORE_BYTES,
    MSGQUEUE: 0,
    SIGPENDING: PENDING_SIGNALS,
    ...(hasGpu ? {} : { DATA: limits.memoryBytes + reserve, MEMLOCK: LOCKED_BYTES }),
  };
}

/** The same as arguments of prlimit(1). */
export function prlimitArguments(limits: Readonly<Record<string, number>>): string[] {
  return Object.entries(limits).map(([name, value]) => `--${name.toLowerCase()}=${value}:${value}`);
}

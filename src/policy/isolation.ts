// What a worker may be: the isolation levels, and the limits that no archive can raise.

export const ISOLATION_LEVELS = ['none', 'process', 'strict'] as const;

/** `strict`: namespaces and filters around the worker. `process`: filters the worker puts on itself. `none`: nothing. */
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number];

/** Limits of one worker process tree. Sizes are bytes. */
export interface WorkerLimits {
  readonly memoryBytes: number;
  /** Processes and threads together. */
  readonly tasks: number;
  /** CPU share in cores; null leaves the share to the scheduler. */
  readonly cpus: number | null;
  /** The largest single file a worker may write. */
  readonly fileBytes: number;
  /** Size of the private /tmp, and of the private /dev/shm. */
  readonly tmpBytes: number;
  readonly openFiles: number;
  /** Text on stdout and stderr together; the rest is dropped. */
  readonly outputBytesPerSecond: number;
}

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

/** A framework with its weights, their copy while loading, and room to compute. */
const MIN_MEMORY = 4 * GiB;
const MEMORY_PER_ARTIFACT_BYTE = 4;
/** The server and its neighbours keep a fifth of the machine. */
const MAX_MEMORY_SHARE = 0.8;
/** Interpreter, framework pools and a few helpers that a handler starts. */
const BASE_TASKS = 96;
/** One pool each for intra-op, inter-op, OpenMP and BLAS. */
const TASKS_PER_THREAD = 8;

/** What a worker gets when nobody configured anything. */
export function defaultLimits(machine: {
  readonly memoryBytes: number;
  readonly artifactBytes: number;
  readonly threads: number;
}): WorkerLimits {
  const wanted = Math.max(MIN_MEMORY, machine.artifactBytes * MEMORY_PER_ARTIFACT_BYTE);
  return {
    memoryBytes: Math.floor(Math.min(wanted, machine.memoryBytes * MAX_MEMORY_SHARE)),
    tasks: BASE_TASKS + TASKS_PER_THREAD * machine.threads,
    cpus: null,
    fileBytes: 512 * MiB,
    tmpBytes: 256 * MiB,
    openFiles: 1024,
    outputBytesPerSecond: MiB,
  };
}

/**
 * The limits in force: the operator's ceiling, lowered where the model asks for less. `asked` comes out of an archive:
 * anything that is not a positive number, or is larger than the ceiling, leaves the ceiling as it is.
 */
export function underCeiling(ceiling: WorkerLimits, asked: Readonly<Record<string, unknown>>): WorkerLimits {
  const least = (name: keyof WorkerLimits): number | null => {
    const limit = ceiling[name];
    const wish = asked[name];
    if (typeof wish !== 'number' || !Number.isFinite(wish) || wish <= 0) return limit;
    const whole = name === 'cpus' ? wish : Math.max(1, Math.floor(wish));
    return limit === null ? whole : Math.min(limit, whole);
  };
  return {
    memoryBytes: least('memoryBytes') ?? ceiling.memoryBytes,
    tasks: least('tasks') ?? ceiling.tasks,
    cpus: least('cpus'),
    fileBytes: least('fileBytes') ?? ceiling.fileBytes,
    tmpBytes: least('tmpBytes') ?? ceiling.tmpBytes,
    openFiles: least('openFiles') ?? ceiling.openFiles,
    outputBytesPerSecond: least('outputBytesPerSecond') ?? ceiling.outputBytesPerSecond,
  };
}

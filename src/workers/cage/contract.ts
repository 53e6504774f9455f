// What the launcher sees of the cage: one plan per server, one caged command per worker.
import type { DeathCause, Runtime } from '../../serving/index.ts';
import type { IsolationLevel, WorkerLimits } from '../../policy/index.ts';

/** What is in force for every worker of this server, in words an operator reads. */
export interface CagePlan {
  readonly level: IsolationLevel;
  /** For example `bubblewrap 0.8.0: user, pid, ipc, uts, cgroup, net and mount namespaces`. */
  readonly mechanism: readonly string[];
  /** Which mechanism holds each limit: `cgroup v1`, `rlimit`, … */
  readonly limits: Readonly<Record<'memory' | 'tasks' | 'cpu' | 'files' | 'tmp', string>>;
  /** What this machine cannot give at this level, one sentence each. */
  readonly degraded: readonly string[];
}

export interface WrapRequest {
  /** The interpreter, absolute or looked up on the server's PATH. */
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment of the worker; the cage adds HOME, PATH, TMPDIR, locale and thread counts. */
  readonly env: Readonly<Record<string, string>>;
  readonly runtime: Runtime;
  readonly modelDir: string;
  /** Worker code and packages beyond the interpreter, which the cage finds itself. Same path inside as outside. */
  readonly readOnlyPaths: readonly string[];
  readonly threads: number;
  readonly limits: WorkerLimits;
  readonly gpuId: number | null;
}

/** A command ready for `spawnCaged`. */
export interface CagedCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Open descriptors of this process that the child gets as 4, 5, …; closed by `dispose`. */
  readonly extraFds: readonly number[];
  /** Where the worker finds the model: `load.model.dir`. */
  readonly modelDir: string;
  /** The number of the assigned GPU inside, where no other GPU exists: `load.model.gpuId`. */
  readonly gpuId: number | null;
  /** `load.model.cage`: what `cage.apply` of the Python worker takes, or null. */
  readonly innerCage: Readonly<Record<string, unknown>> | null;
  /** Called by `spawnCaged` with the process id: starts what watches the worker from outside. */
  attach(pid: number): void;
  /** Tells out of memory from a crash. Ask after the exit and before `dispose`. */
  exitCause(exitCode: number | null, signal: string | null): DeathCause;
  /** Kills what is left of the worker's process tree, and gives back descriptors, cgroups and directories. Safe to repeat. */
  dispose(): Promise<void>;
}

export interface Cage {
  readonly plan: CagePlan;
  /** Throws `worker_start_failed` when a path cannot be read by the worker's uid. */
  wrap(request: WrapRequest): Promise<CagedCommand>;
}

export interface CageOptions {
  readonly level: IsolationLevel;
  /** First of the 500 uids that workers get when the server is root; each running worker has its own. 65000 by default. */
  readonly firstWorkerUid?: number;
  /** Lets handlers start child processes. On by default: TorchServe handlers do. */
  readonly allowSubprocess?: boolean;
  /** Lets handlers open unix sockets among themselves (DataLoader workers). Only honoured at `strict`. */
  readonly allowUnixSockets?: boolean;
  /** Interpreter that puts `process` on the worker before it runs; `python3` on the PATH by default. */
  readonly python?: string;
}

// One worker process from start to end: caged, spoken to over descriptor 3, killed as a group, its death explained once.
import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../kernel/index.ts';
import type { WorkerLimits } from '../policy/index.ts';
import type {
  Announcements,
  BatchItem,
  DeathCause,
  Operation,
  WorkerEvents,
  WorkerHandle,
  WorkerSpec,
} from '../serving/index.ts';
import { endGroup, spawnCaged, type Cage, type CagedCommand } from './cage/index.ts';
import { OutputBudget } from './output-budget.ts';
import { readLines } from './output-lines.ts';
import { WorkerChannel } from './worker-channel.ts';
import { workerCommand } from './worker-command.ts';

export interface WorkerProcessOptions {
  readonly cage: Cage;
  readonly clock: Clock;
  readonly announce: Announcements;
  readonly limitsFor: (spec: WorkerSpec) => WorkerLimits;
  /** The operator's allowlist of variables, with their values. */
  readonly operatorEnv: Readonly<Record<string, string>>;
}

/** Reading what a dead process left in a socket takes no time, unless a stray descendant still holds the other end. */
const LAST_WORDS_MS = 250;

/** With no work in hand, a worker has its exit handlers to run: one that stays for them must not hold up who removes it. */
const FAREWELL_MS = 5000;
/** From the end of its frame socket to the end of a process: longer than any interpreter takes to clean up after itself. */
const SILENT_END_MS = 3000;
const SILENT_END: DeathCause = { kind: 'protocol', offence: 'it closed its frame socket' };

export class WorkerProcess implements WorkerHandle {
  readonly #spec: WorkerSpec;
  readonly #events: WorkerEvents;
  readonly #options: WorkerProcessOptions;
  #child: ChildProcess | undefined;
  #channel: WorkerChannel | undefined;
  #startLimit: Timer | undefined;
  #endLimit: Timer | undefined;
  /** Why this server ended the process; undefined while it was not this server. */
  #sentence: DeathCause | undefined;
  readonly #gone = Promise.withResolvers<void>();
  #isGone = false;

  constructor(spec: WorkerSpec, events: WorkerEvents, options: WorkerProcessOptions) {
    this.#spec = spec;
    this.#events = events;
    this.#options = options;
    this.#start().catch((error: unknown) => {
      // Where there is a process already, its exit gives everything back.
      this.#killGroup();
      this.#end({ kind: 'spawn_failed', message: messageOf(error) });
    });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  run(batchId: number, operation: Operation, items: readonly BatchItem[]): void {
    this.#channel?.run(batchId, operation, items);
  }

  cancel(batchId: number, indices: readonly number[]): void {
    this.#channel?.cancel(batchId, indices);
  }

  async stop(graceMs: number): Promise<void> {
    this.#sentence ??= { kind: 'stopped' };
    if (this.#channel?.isLoaded === true && graceMs > 0) {
      this.#channel.stop();
      const limit = this.#options.clock.after(Math.min(graceMs, FAREWELL_MS), () => this.#killGroup());
      await this.#gone.promise;
      limit.cancel();
    } else {
      this.#killGroup();
      await this.#gone.promise;
    }
  }

  kill(cause: DeathCause): void {
    this.#sentence ??= cause;
    this.#killGroup();
  }

  async #start(): Promise<void> {
    const { cage, limitsFor, operatorEnv } = this.#options;
    const spec = this.#spec;
    const command = workerCommand(spec, operatorEnv);
    const limits = limitsFor(spec);
    const caged = await cage.wrap({
      ...command,
      runtime: spec.runtime,
      modelDir: spec.dir,
      threads: spec.threads,
      limits,
      gpuId: spec.gpuId,
    });
    if (this.#sentence !== undefined) {
      // Stopped before it was born.
      await caged.dispose();
      return this.#end(this.#sentence);
    }
    let child: ChildProcess;
    try {
      child = spawnCaged(caged);
    } catch (error) {
      await caged.dispose();
      throw error;
    }
    this.#child = child;
    child.once('error', (error) => void this.#over(caged, { kind: 'spawn_failed', message: error.message }));
    child.once('exit', (code, signal) => void this.#over(caged, caged.exitCause(code, signal)));
    if (child.pid === undefined) return;
    this.#converse(child, caged, limits);
  }

  #converse(child: ChildProcess, caged: CagedCommand, limits: WorkerLimits): void {
    const { clock, announce } = this.#options;
    const spec = this.#spec;
    const say = (stream: 'stdout' | 'stderr', line: string): void =>
      announce.worker.publish({
        workerId: spec.workerId,
        model: String(spec.load['name']),
        version: String(spec.load['version']),
        event: { kind: 'output', stream, line },
      });
    const budget = new OutputBudget(clock, limits.outputBytesPerSecond, (bytes) => {
      this.#events.onOutputDropped(bytes);
      say('stderr', `[${bytes} bytes of output dropped: more than ${limits.outputBytesPerSecond} bytes per second]`);
    });
    for (const stream of ['stdout', 'stderr'] as const) {
      readLines(child[stream]!, budget, (line) => say(stream, line));
    }
    const socket = child.stdio[3] as Duplex;
    // Its exit says more, and mostly follows; a worker that stays would be asked in vain.
    socket.once('close', () => {
      if (this.#isGone || this.#sentence !== undefined) return;
      this.#endLimit = clock.after(SILENT_END_MS, () => this.kill(SILENT_END));
    });
    this.#channel = new WorkerChannel(socket, {
      spec,
      events: {
        ...this.#events,
        onLoaded: (metadata) => {
          this.#startLimit?.cancel();
          this.#events.onLoaded(metadata);
        },
      },
      condemn: (cause) => this.kill(cause),
    });
    this.#events.onStarted(child.pid!);
    this.#startLimit = clock.after(spec.startupTimeoutMs, () =>
      this.kill({ kind: 'startup_timeout', afterMs: spec.startupTimeoutMs }),
    );
    this.#channel.load({ ...spec.load, dir: caged.modelDir, gpuId: caged.gpuId, cage: caged.innerCage });
  }

  /** The leader of the group is gone; whatever it left behind goes with it, and what it had answered is still read. */
  async #over(caged: CagedCommand, observed: DeathCause): Promise<void> {
    const sentence = this.#sentence;
    const cause =
      sentence === undefined || (mayBeThirst(sentence) && observed.kind === 'out_of_memory') ? observed : sentence;
    this.#killGroup();
    try {
      await this.#lastWords();
      await caged.dispose();
    } catch (error) {
      const message = 'A worker left something behind.';
      this.#options.announce.notice.publish({ level: 'error', message, cause: error });
    }
    this.#end(cause);
  }

  /** Answers that were written before the death may still be on their way through the socket. */
  async #lastWords(): Promise<void> {
    const socket = this.#child?.stdio[3] as Duplex | undefined;
    if (socket === undefined || socket.closed || socket.readableEnded) return;
    const read = Promise.withResolvers<void>();
    socket.once('end', read.resolve).once('close', read.resolve);
    const limit = this.#options.clock.after(LAST_WORDS_MS, read.resolve);
    await read.promise;
    limit.cancel();
  }

  #end(cause: DeathCause): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#startLimit?.cancel();
    this.#endLimit?.cancel();
    this.#gone.resolve();
    this.#events.onExit(cause);
  }

  #killGroup(): void {
    const pid = this.#child?.pid;
    if (pid !== undefined) endGroup(pid);
  }
}

/** A worker that is starved of memory is often late before it is killed; what it did wrong otherwise stays its cause. */
const mayBeThirst = ({ kind }: DeathCause): boolean => kind === 'startup_timeout' || kind === 'response_timeout';

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

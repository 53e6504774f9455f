// `davy serve`: settings, server, signals, in this order.
import { resolve } from 'node:path';
import { Fault } from '../../kernel/index.ts';
import { EXIT, type Io } from './io.ts';
import { createPidFile, pidFilePath, readPidFile, removePidFile } from './pid-file.ts';
import { type ServeFlags, readSettings } from './read-settings.ts';

/** What `src/app/server.ts` gives back. */
export interface RunningServer {
  /** Refuses new work, finishes what was accepted within the drain time, ends workers. */
  stop(): Promise<void>;
}

export interface ServeOptions extends ServeFlags {
  readonly pidFile?: string;
}

/** Resolves when the server has stopped. A configuration error goes to stdout in TorchServe's form (surface spec 1.2). */
export async function serve(io: Io, options: ServeOptions): Promise<number> {
  // A signal that arrives while the server starts is obeyed as soon as it can be stopped in order.
  const signal = firstSignal();
  refuseDebugger();
  const pidFile = new PidFile(io, options.pidFile);
  let server: RunningServer;
  try {
    const settings = readSettings(io, options);
    pidFile.claim(settings.server.tempDir);
    const { startServer } = await import('../server.ts');
    server = await startServer(settings);
  } catch (thrown) {
    signal.dispose();
    pidFile.remove();
    if (!(thrown instanceof Fault) || thrown.code !== 'invalid_configuration') throw thrown;
    io.stdout.write(`Invalid configuration: ${thrown.message}\n`);
    return EXIT.failed;
  }
  // Harnesses wait for exactly this line (surface spec 1.5).
  io.stdout.write('Model server started.\n');
  await signal.heard;
  const impatience = exitOnNextSignal(pidFile);
  try {
    await server.stop();
  } finally {
    impatience.dispose();
    pidFile.remove();
  }
  endWhateverLingers();
  return EXIT.ok;
}

/** A closed terminal stops the server in order, too: Java does so, and keys and sockets are not left behind. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Node answers this signal by opening a debugger on a port: whoever reaches that owns the server, keys and all. */
function refuseDebugger(): void {
  process.on('SIGUSR1', ignore);
}

const ignore = (): void => {};

function firstSignal(): { readonly heard: Promise<void>; dispose(): void } {
  const { promise, resolve: settle } = Promise.withResolvers<void>();
  // All listeners go at the first signal, so that a second one of either kind is not swallowed.
  const dispose = (): void => SIGNALS.forEach((signal) => process.off(signal, obey));
  const obey = (): void => {
    dispose();
    settle();
  };
  for (const signal of SIGNALS) process.on(signal, obey);
  return { heard: promise, dispose };
}

/** Whoever asks twice wants it now; workers end by themselves when their channel closes. */
function exitOnNextSignal(pidFile: PidFile): { dispose(): void } {
  const leave = (): never => {
    pidFile.remove();
    process.exit(EXIT.failed);
  };
  for (const signal of SIGNALS) process.once(signal, leave);
  return { dispose: () => SIGNALS.forEach((signal) => process.off(signal, leave)) };
}

/** Long enough for the last log lines to reach their pipe. */
const LINGER_MS = 2000;

/** A stopped server must end, whatever handle was forgotten; the timer itself keeps nothing alive. */
function endWhateverLingers(): void {
  setTimeout(() => process.exit(EXIT.ok), LINGER_MS).unref();
}

/** One pid file names one server; a second server on the same file runs too, but `davy stop` will not find it. */
class PidFile {
  readonly #io: Io;
  #path: string | undefined;

  constructor(io: Io, path: string | undefined) {
    this.#io = io;
    this.#path = path === undefined ? undefined : resolve(io.cwd, path);
  }

  /** `torchserve --start` has written our number already; otherwise it is written here. */
  claim(tempDir: string): void {
    const path = (this.#path ??= pidFilePath(tempDir));
    const state = readPidFile(path);
    if (state.kind === 'stale') removePidFile(path, undefined);
    if (state.kind === 'running' ? state.pid === process.pid : createPidFile(path, process.pid)) return;
    const other = state.kind === 'running' ? ` (pid ${state.pid})` : '';
    const remedy = 'davy stop will stop that one; give --pid-file to this one.';
    this.#io.stderr.write(`${path} names another running server${other}: ${remedy}\n`);
  }

  remove(): void {
    if (this.#path !== undefined) removePidFile(this.#path, process.pid);
  }
}

// `davy serve`: settings, server, signals, in this order.
import { resolve } from 'node:path';
import type { Settings } from '../../config/index.ts';
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
  let settings: Settings;
  let server: RunningServer;
  let pidFile: PidFile | undefined;
  // A signal that arrives while the server starts is obeyed as soon as it can be stopped in order.
  const stopRequested = firstSignal();
  try {
    settings = readSettings(io, options);
    pidFile = claimPidFile(io, options.pidFile ?? pidFilePath(settings.server.tempDir));
    const { startServer } = await import('../server.ts');
    server = await startServer(settings);
  } catch (thrown) {
    pidFile?.remove();
    if (!(thrown instanceof Fault) || thrown.code !== 'invalid_configuration') throw thrown;
    io.stdout.write(`Invalid configuration: ${thrown.message}\n`);
    return EXIT.failed;
  }
  // Harnesses wait for exactly this line (surface spec 1.5).
  io.stdout.write('Model server started.\n');
  await stopRequested;
  const impatience = exitOnNextSignal();
  try {
    await server.stop();
  } finally {
    impatience.dispose();
    pidFile.remove();
  }
  return EXIT.ok;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

function firstSignal(): Promise<void> {
  const { promise, resolve: settle } = Promise.withResolvers<void>();
  const heard = (): void => {
    // Both listeners go, so that a second signal of either kind is not swallowed.
    for (const signal of SIGNALS) process.off(signal, heard);
    settle();
  };
  for (const signal of SIGNALS) process.on(signal, heard);
  return promise;
}

/** Whoever asks twice wants it now; workers end by themselves when their channel closes. */
function exitOnNextSignal(): { dispose(): void } {
  const leave = (): never => process.exit(EXIT.failed);
  for (const signal of SIGNALS) process.once(signal, leave);
  return { dispose: () => SIGNALS.forEach((signal) => process.off(signal, leave)) };
}

interface PidFile {
  remove(): void;
}

/** One pid file names one server; a second server on the same file runs too, but `davy stop` will not find it. */
function claimPidFile(io: Io, path: string): PidFile {
  const absolute = resolve(io.cwd, path);
  const state = readPidFile(absolute);
  if (state.kind === 'stale') removePidFile(absolute, undefined);
  const isClaimed = state.kind === 'running' ? state.pid === process.pid : createPidFile(absolute, process.pid);
  if (isClaimed) return { remove: () => removePidFile(absolute, process.pid) };
  const other = state.kind === 'running' ? ` (pid ${state.pid})` : '';
  io.stderr.write(`${absolute} names another running server${other}; give --pid-file to stop this one by davy stop.\n`);
  return { remove: () => undefined };
}

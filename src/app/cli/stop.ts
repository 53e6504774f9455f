// `davy stop` and `torchserve --stop`: ask a verified server to drain and wait until it is gone.
import { lstatSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, type Io, withProgress } from './io.ts';
import { isDavyServer, pidFilePath, readPidFile, removePidFile } from './pid-file.ts';
import { temporaryDirectory } from './read-settings.ts';

export type StopOutcome = 'not running' | 'already stopped' | 'stopped' | 'too long';

/** TorchServe waits this long (surface spec 7.1). */
export const STOP_TIMEOUT_MS = 60_000;

/** Never signals a process that is not a Davy server. */
export async function stopServer(path: string, timeoutMs = STOP_TIMEOUT_MS): Promise<StopOutcome> {
  const state = readPidFile(path);
  if (state.kind === 'absent') return 'not running';
  if (state.kind === 'stale') {
    removePidFile(path, undefined);
    return 'already stopped';
  }
  process.kill(state.pid, 'SIGTERM');
  if (!(await isGone(state.pid, timeoutMs))) return 'too long';
  removePidFile(path, state.pid);
  return 'stopped';
}

const POLL_MS = 50;

async function isGone(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    if (!isDavyServer(pid)) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** TorchServe's stop command deletes the keys in its own working directory (surface spec 6.6). Only a plain file is removed. */
export function removeKeyFile(cwd: string): void {
  const path = join(cwd, 'key_file.json');
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile()) rmSync(path, { force: true });
}

const WORDS: Record<StopOutcome, string> = {
  'not running': 'No Davy server is running here.',
  'already stopped': 'The server has stopped already; its pid file is gone now.',
  stopped: 'Stopped.',
  'too long': 'The server is still finishing requests. Run this again to wait longer, or kill it by its pid.',
};

export async function stop(io: Io, options: { readonly pidFile?: string }): Promise<number> {
  const path = resolve(io.cwd, options.pidFile ?? pidFilePath(temporaryDirectory(io)));
  const outcome = await withProgress(io, 'Waiting for accepted requests to finish', stopServer(path));
  io.stdout.write(`${WORDS[outcome]}\n`);
  return outcome === 'too long' ? EXIT.failed : EXIT.ok;
}

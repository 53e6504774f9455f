// The pid file, and the proof that a pid in it is a Davy server: a signal must never reach a stranger that inherited the number.
import { spawnSync } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Fault } from '../../kernel/index.ts';

/** Surface spec 7.1: plain decimal, in the temporary directory. */
export const pidFilePath = (tempDir: string): string => join(tempDir, '.model_server.pid');

export type PidFileState =
  | { readonly kind: 'absent' }
  /** The number belongs to no server: nobody, or another program. */
  | { readonly kind: 'stale'; readonly pid: number | undefined }
  | { readonly kind: 'running'; readonly pid: number };

/** Throws `invalid_configuration` when the file is somebody else's: anyone may write into a temporary directory. */
export function readPidFile(path: string): PidFileState {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'absent' };
    throw new Fault('invalid_configuration', `Cannot read pid file ${path}: ${(cause as Error).message}`, { cause });
  }
  try {
    if (fstatSync(file).uid !== process.getuid?.()) {
      throw new Fault(
        'invalid_configuration',
        `Pid file ${path} belongs to another user. Set TMPDIR, or give --pid-file PATH.`,
      );
    }
    const text = readFileSync(file, 'latin1').trim();
    const pid = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
    return pid !== undefined && isDavyServer(pid) ? { kind: 'running', pid } : { kind: 'stale', pid };
  } finally {
    closeSync(file);
  }
}

/** Creates the file; false when it exists already. Never follows a link, never truncates what others put there. */
export function createPidFile(path: string, pid: number): boolean {
  let file: number;
  try {
    file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o644);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new Fault('invalid_configuration', `Cannot write pid file ${path}: ${(cause as Error).message}`, { cause });
  }
  writeSync(file, String(pid));
  closeSync(file);
  return true;
}

/** Removes the file if it still names `pid`. */
export function removePidFile(path: string, pid: number | undefined): void {
  const isOurs = (): boolean => {
    try {
      return readFileSync(path, 'latin1').trim() === String(pid ?? '');
    } catch {
      return false;
    }
  };
  if (pid === undefined || isOurs()) rmSync(path, { force: true });
}

/** Compares the program of a live process with how this package starts a server. */
export function isDavyServer(pid: number): boolean {
  const args = commandLine(pid);
  return args !== undefined && isServerCommand(args);
}

const ENTRIES = new Set(['davy', 'main.ts', 'main.js']);
const TORCHSERVE = 'torchserve';

/** `node …/bin/davy serve …`, the entry module itself, or `node …/bin/torchserve --foreground …`, which serves in its own process. */
export function isServerCommand(args: readonly string[]): boolean {
  const at = args.findIndex((arg) => ENTRIES.has(basename(arg)) || basename(arg) === TORCHSERVE);
  if (at < 0 || at > MAX_INTERPRETER_ARGS) return false;
  const [entry = '', ...rest] = args.slice(at);
  return basename(entry) === TORCHSERVE ? servesInForeground(rest) : rest[0] === 'serve';
}

/** Flags may be cut short: `--fore` is `--foreground`, `--sto` is `--stop`. */
function servesInForeground(flags: readonly string[]): boolean {
  const has = (flag: string, shortest: string): boolean =>
    flags.some((given) => given.startsWith(shortest) && flag.startsWith(given));
  return has('--foreground', '--f') && !has('--stop', '--sto');
}

/** The interpreter and a few options of its own may stand before the script. */
const MAX_INTERPRETER_ARGS = 6;

function commandLine(pid: number): readonly string[] | undefined {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    // A zombie has no command line left, and runs no more.
    return args.length === 0 ? undefined : args;
  } catch {
    if (process.platform === 'linux') return undefined;
  }
  const { status, stdout } = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split(' ') : undefined;
}

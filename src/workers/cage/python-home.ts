// Asks a Python where it lives: virtual environments, version managers and user installs all answer truly.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Fault } from '../../kernel/index.ts';
import { programPrefixes } from './interpreter.ts';

export interface PythonHome {
  /** The real interpreter: a version manager's shim is a shell script that would not run in a cage. */
  readonly executable: string;
  /** Folders the interpreter needs, read-only. */
  readonly paths: readonly string[];
}

const QUESTION = `import json, sys
print(json.dumps([sys.executable, [sys.prefix, sys.base_prefix, sys.exec_prefix], [p for p in sys.path if p]]))`;
const ANSWER_TIMEOUT_MS = 20_000;

/** Throws `worker_start_failed` when the interpreter does not run. The interpreter is the operator's, not the model's. */
export async function askPython(program: string): Promise<PythonHome> {
  const ask = promisify(execFile);
  const { stdout } = await ask(program, ['-I', '-B', '-c', QUESTION], { timeout: ANSWER_TIMEOUT_MS, cwd: '/' }).catch(
    (cause: unknown) => {
      throw new Fault('worker_start_failed', `The Python interpreter ${program} does not run.`, { cause });
    },
  );
  const [executable, prefixes, modules] = JSON.parse(stdout) as [string, string[], string[]];
  const wanted = [...prefixes.flatMap(narrowPrefix), ...programPrefixes(executable).flatMap(narrowPrefix), ...modules];
  return {
    executable,
    paths: [...new Set(wanted)].filter((path) => path.startsWith('/') && existsSync(path)),
  };
}

/** A prefix that is somebody's home, or a folder of everything, shows its programs and libraries only. */
export function narrowPrefix(prefix: string): string[] {
  const isBroad = BROAD.has(prefix) || prefix === ownHome() || /^\/home\/[^/]+$/.test(prefix);
  return isBroad ? [join(prefix, 'bin'), join(prefix, 'lib')] : [prefix];
}

/** A uid without an account (containers give such) has no home, and that is no failure. */
function ownHome(): string | null {
  try {
    return homedir();
  } catch {
    return null;
  }
}

const BROAD: ReadonlySet<string> = new Set([
  '/',
  '/home',
  '/root',
  '/opt',
  '/etc',
  '/var',
  '/tmp',
  '/srv',
  '/mnt',
  '/usr/local',
]);

// One Python environment with PyTorch for tests and examples, built once per machine and shared by every checkout.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const REQUIREMENTS = join(import.meta.dirname, 'python-requirements.txt');
/** numpy 2.4 wants 3.11; newer minors are tried after the plain name. */
const OLDEST_PYTHON_MINOR = 11;
const INTERPRETERS = ['python3', 'python3.13', 'python3.12', 'python3.11'];
/** A build takes about three minutes; a lock older than this belongs to nobody. */
const LOCK_PATIENCE_MS = 30 * 60_000;
const LOCK_POLL_MS = 500;

/**
 * Absolute path of an interpreter that can import everything in python-requirements.txt.
 * `DAVY_PYTHON`, when set, is taken as it is. Rejects with an Error whose message names the fix.
 */
export async function ensurePythonEnv(): Promise<string> {
  const chosen = process.env['DAVY_PYTHON'];
  if (chosen !== undefined && chosen !== '') return chosen;
  const base = findBasePython();
  const key = createHash('sha256')
    .update(await readFile(REQUIREMENTS))
    .update(base.identity)
    .digest('hex')
    .slice(0, 12);
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'davy');
  const home = join(cache, `python-${key}`);
  const interpreter = join(home, 'bin', 'python');
  if (existsSync(interpreter)) return interpreter;

  await mkdir(cache, { recursive: true });
  const release = await acquireLock(`${home}.lock`);
  try {
    if (!existsSync(interpreter)) await build(base.command, home);
  } finally {
    await release();
  }
  return interpreter;
}

interface BasePython {
  readonly command: string;
  /** Version, ABI and machine: what a wheel is chosen by. */
  readonly identity: string;
}

function findBasePython(): BasePython {
  const script =
    'import sys,platform;print(sys.version_info[1],sys.implementation.cache_tag,sys.version.split()[0],platform.machine())';
  for (const command of INTERPRETERS) {
    const { status, stdout } = spawnSync(command, ['-c', script], { encoding: 'utf8' });
    if (status === 0 && Number.parseInt(stdout, 10) >= OLDEST_PYTHON_MINOR) return { command, identity: stdout.trim() };
  }
  throw new Error(
    `No Python 3.${OLDEST_PYTHON_MINOR} or newer on PATH (tried ${INTERPRETERS.join(', ')}).\n` +
      'Install it (Debian: apt install python3 python3-venv), or set DAVY_PYTHON to an interpreter that has PyTorch.',
  );
}

/** Scripts in a venv carry its absolute path, so only `bin/python` is used from it: that survives the rename. */
async function build(base: string, home: string): Promise<void> {
  const unfinished = `${home}.unfinished-${process.pid}`;
  progress(`Building the Python environment with PyTorch in ${home}`);
  progress('(once per machine; PyTorch for Linux brings its CUDA libraries: about 3 GB to download, three minutes)');
  await rm(unfinished, { recursive: true, force: true });
  try {
    await install(base, unfinished);
    await rename(unfinished, home);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

async function install(base: string, folder: string): Promise<void> {
  const pipOptions = [
    'install',
    '--quiet',
    '--no-input',
    '--disable-pip-version-check',
    '--only-binary=:all:',
    '-r',
    REQUIREMENTS,
  ];
  const python = join(folder, 'bin', 'python');
  if ((await run(base, ['-m', 'venv', folder], 'ignore')) === 0) {
    await pip(python, ['-m', 'pip', ...pipOptions]);
    return;
  }
  // Debian splits ensurepip off into python3-venv; the system's own pip can fill a venv that has none.
  await rm(folder, { recursive: true, force: true });
  const bare = (await run(base, ['-m', 'venv', '--without-pip', folder], 'ignore')) === 0;
  if (!bare || (await run(base, ['-m', 'pip', '--version'], 'ignore')) !== 0) {
    throw new Error(
      `${base} can make no virtual environment. Install venv and pip (Debian: apt install python3-venv).`,
    );
  }
  await pip(base, ['-m', 'pip', '--python', python, ...pipOptions]);
}

async function pip(python: string, args: readonly string[]): Promise<void> {
  const startedAt = Date.now();
  const ticker = setInterval(() => {
    progress(`  still installing, ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }, 20_000);
  try {
    if ((await run(python, args, 'inherit')) !== 0) {
      throw new Error(
        'pip failed; its own words are above. It needs a package index and about 8 GB of free disk.\n' +
          'Or set DAVY_PYTHON to an interpreter that has what tools/python-requirements.txt lists.',
      );
    }
  } finally {
    clearInterval(ticker);
  }
}

function run(command: string, args: readonly string[], output: 'inherit' | 'ignore'): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(command, args, { stdio: ['ignore', output === 'inherit' ? 2 : 'ignore', output] });
  child.on('error', reject);
  child.on('exit', (code) => resolve(code ?? 1));
  return promise;
}

/** A lock file that holds its owner's pid; a dead owner's lock is taken over. */
async function acquireLock(path: string): Promise<() => Promise<void>> {
  const deadline = Date.now() + LOCK_PATIENCE_MS;
  let hasSpoken = false;
  while (Date.now() < deadline) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' });
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10);
    if (owner > 0 && !isAlive(owner)) {
      await rm(path, { force: true });
      continue;
    }
    if (!hasSpoken) progress(`Process ${owner} is building the Python environment; waiting for it`);
    hasSpoken = true;
    await delay(LOCK_POLL_MS);
  }
  throw new Error(`${path} has been held for ${LOCK_PATIENCE_MS / 60_000} minutes. Remove it and run this again.`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

if (import.meta.main) {
  try {
    process.stdout.write(`${await ensurePythonEnv()}\n`);
  } catch (error) {
    progress((error as Error).message);
    process.exitCode = 1;
  }
}

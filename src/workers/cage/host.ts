// What this machine offers to a cage, found out by trying, and what to do where it offers too little.
import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { cageScript } from './places.ts';
import { findProgram } from './interpreter.ts';
import { kernelText } from './kernel-text.ts';

const run = promisify(execFile);
/** A probe that hangs is a probe that failed. */
const PROBE_TIMEOUT_MS = 10_000;

export interface BubblewrapHost {
  readonly path: string;
  readonly version: string;
  /** Since 0.7.0: tmpfs of a given size. */
  readonly hasSize: boolean;
  /** Since 0.8.0: no user namespaces inside the sandbox. */
  readonly hasDisableUserns: boolean;
  /** Since 0.10.0, and in distributions that carry the fix for CVE-2024-42472: binds what a descriptor names. */
  readonly hasBindFd: boolean;
}

/** A Python that can put restrictions on any command, and what the kernel offers it. */
export interface LandlockHost {
  readonly python: string;
  /** 0 where there is no Landlock. */
  readonly abi: number;
}

/** A finding names what is missing and the line that mends it. */
export interface Finding {
  readonly missing: string;
  readonly remedy: string;
}

/** Looks for bubblewrap and makes a namespace with it as the worker's uid. Returns the finding when that fails. */
export async function probeBubblewrap(uid: number | undefined): Promise<BubblewrapHost | Finding> {
  const path = findProgram('bwrap');
  if (path === null)
    return { missing: 'bubblewrap (the program bwrap) is not installed', remedy: installHint('bubblewrap') };
  if ((statSync(path).mode & 0o4000) !== 0) {
    return { missing: `${path} is setuid root`, remedy: `use a kernel with user namespaces and: chmod u-s ${path}` };
  }
  try {
    const [told, help] = await Promise.all(
      ['--version', '--help'].map(async (option) => (await run(path, [option], { timeout: PROBE_TIMEOUT_MS })).stdout),
    );
    const version = /(\d+\.\d+\.\d+)/.exec(told ?? '')?.[1] ?? '0.0.0';
    const [major = 0, minor = 0] = version.split('.').map(Number);
    const features = major * 1000 + minor;
    if (features < 5)
      return { missing: `bubblewrap ${version} is too old (0.5.0 is needed)`, remedy: installHint('bubblewrap') };
    const namespaces = [
      '--unshare-user',
      '--unshare-pid',
      '--unshare-net',
      '--unshare-cgroup-try',
      '--cap-drop',
      'ALL',
    ];
    await run(path, [...namespaces, '--ro-bind', '/', '/', '--', findProgram('true') ?? '/bin/true'], {
      timeout: PROBE_TIMEOUT_MS,
      env: {},
      cwd: '/',
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    const has = (option: string): boolean => help?.includes(option) === true;
    return {
      path,
      version,
      hasSize: features >= 7 && has('--size'),
      hasDisableUserns: features >= 8,
      hasBindFd: has('--ro-bind-fd'),
    };
  } catch (error) {
    return { missing: `bubblewrap cannot make namespaces: ${lastLine(error)}`, remedy: namespaceHint() };
  }
}

/** Tries the pythons that could carry a stage. The finding is that there is none; what the kernel lacks is told by `abi`. */
export async function probeLandlock(preferred: string | undefined): Promise<LandlockHost | Finding> {
  // The system's own first: it starts fastest, and every uid may read it.
  const candidates = ['/usr/bin/python3', ...(preferred === undefined ? [] : [preferred]), 'python3', 'python'];
  for (const candidate of candidates) {
    const python = findProgram(candidate);
    if (python === null) continue;
    try {
      const { stdout } = await run(python, ['-I', '-S', '-B', cageScript(), 'abi'], {
        timeout: PROBE_TIMEOUT_MS,
        cwd: '/',
      });
      const [, abi, executable] = /^(\d+) (\/.*)$/m.exec(stdout) ?? [];
      if (executable !== undefined) return { python: executable, abi: Number(abi) };
    } catch {
      // Not a Python that runs: the next one may be.
    }
  }
  return {
    missing: 'there is no Python 3 to put Landlock and seccomp on a worker (Node cannot do that to itself)',
    remedy: installHint('python3'),
  };
}

/** The finding when a kernel's Landlock is too old for the level `process`; null when it will do. */
export function judgeLandlock(abi: number): Finding | null {
  if (abi >= MIN_LANDLOCK_ABI) return null;
  return {
    missing:
      abi === 0
        ? 'this kernel has no Landlock, or it is switched off'
        : `Landlock ABI ${abi} is too old (${MIN_LANDLOCK_ABI} is needed)`,
    remedy: 'boot Linux 6.7 or newer with "landlock" in the lsm= list',
  };
}

/** The first that can refuse TCP; before it a worker could reach the server's own listeners. */
export const MIN_LANDLOCK_ABI = 4;

/** Whether root may make the private mounts that let worker uids reach files in closed folders. */
export async function canUnshareMounts(): Promise<boolean> {
  try {
    await run('unshare', ['--mount', '--propagation', 'slave', 'true'], { timeout: PROBE_TIMEOUT_MS, cwd: '/' });
    return true;
  } catch {
    return false;
  }
}

export function isFinding(value: object): value is Finding {
  return 'remedy' in value;
}

/** The line that installs a package on this machine, whichever package manager it has. */
export function installHint(name: 'bubblewrap' | 'util-linux' | 'python3'): string {
  const lines: readonly (readonly [string, string])[] = [
    ['apt-get', `apt-get install -y ${name}`],
    ['dnf', `dnf install -y ${name}`],
    // Alpine keeps these two programs apart.
    ['apk', `apk add ${name === 'util-linux' ? 'setpriv util-linux-misc' : name}`],
    ['zypper', `zypper install -y ${name}`],
    ['pacman', `pacman -S ${name === 'python3' ? 'python' : name}`],
  ];
  const line = lines.find(([program]) => findProgram(program) !== null)?.[1] ?? `install the package "${name}"`;
  return process.getuid?.() === 0 ? line : `sudo ${line}`;
}

function namespaceHint(): string {
  if (kernelText('/proc/sys/kernel/apparmor_restrict_unprivileged_userns').trim() === '1') {
    return 'Ubuntu restricts user namespaces: install an AppArmor profile that allows "userns" for bwrap (docs/security-model.md)';
  }
  if (kernelText('/proc/sys/kernel/unprivileged_userns_clone').trim() === '0')
    return 'sysctl -w kernel.unprivileged_userns_clone=1';
  if (kernelText('/proc/sys/user/max_user_namespaces').trim() === '0')
    return 'sysctl -w user.max_user_namespaces=10000';
  if (isContainer()) {
    return 'this container forbids namespaces: see "Containers" in docs/security-model.md, or choose the level "process"';
  }
  return 'allow user namespaces for this user, or choose the level "process"';
}

export function isContainer(): boolean {
  return (
    existsSync('/.dockerenv') ||
    existsSync('/run/.containerenv') ||
    process.env['KUBERNETES_SERVICE_HOST'] !== undefined
  );
}

function lastLine(error: unknown): string {
  const detail = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return (detail === '' ? String(error) : detail).split('\n').at(-1)?.slice(0, 200) ?? '';
}

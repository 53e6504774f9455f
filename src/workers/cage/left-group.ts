// Finds again, after a server was killed, the children that its workers left behind: at `process` nothing else ends them.
import { lstatSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { kernelText } from './kernel-text.ts';

/** Beside a worker's folder, where the worker cannot write: which process group was its own, and since which boot. */
const noteOf = (folder: string): string => `${folder}.group`;

/** Without a note, as on a full disk, a worker runs all the same: only what a killed server leaves is not found again. */
export function noteGroup(folder: string, group: number): void {
  try {
    writeFileSync(noteOf(folder), `${bootId()} ${group}`, { flag: 'wx', mode: 0o600 });
  } catch {
    // A worker that died must come back although the disk is full.
  }
}

export function forgetGroup(folder: string): void {
  rmSync(noteOf(folder), { force: true });
}

/** Kills what is left of the group that was noted for a folder. A number that means something else by now ends nobody. */
export function endLeftGroup(folder: string): void {
  const group = notedGroup(noteOf(folder));
  // The worker itself died with its server: a leader that lives is another one's, by the same number.
  if (group === null || isAlive(group)) return;
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (Number.isInteger(pid) && pid > 1 && isLeftOf(group, pid)) kill(pid);
  }
}

/** Only what this server's user wrote counts: /tmp is everybody's. */
function notedGroup(path: string): number | null {
  try {
    const stat = lstatSync(path);
    if (!stat.isFile() || stat.uid !== process.getuid?.()) return null;
    const [boot, group] = readFileSync(path, 'utf8').split(' ');
    return boot === bootId() && Number(group) > 1 ? Number(group) : null;
  } catch {
    return null;
  }
}

/** Of that group, and in a cage as workers are. */
function isLeftOf(group: number, pid: number): boolean {
  if (Number(/^\) \S \d+ (\d+)/.exec(afterName(pid))?.[1]) !== group) return false;
  const status = kernelText(`/proc/${pid}/status`);
  return /^NoNewPrivs:\s1$/m.test(status) && /^Seccomp:\s2$/m.test(status);
}

const isAlive = (pid: number): boolean => /^\) [^ZX] /.test(afterName(pid));

/** Of `/proc/PID/stat`: a process may have put anything into its name. */
const afterName = (pid: number): string => kernelText(`/proc/${pid}/stat`).replace(/^.*\)/s, ')');

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone, or somebody else's.
  }
}

const bootId = (): string => kernelText('/proc/sys/kernel/random/boot_id').trim();

// The folder for temporary files of a worker without mounts of its own: made, and removed whatever the worker did to it.
import { execFile } from 'node:child_process';
import { chownSync, existsSync, lstatSync, mkdtempSync, readdirSync, readlinkSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { endLeftGroup, forgetGroup } from './left-group.ts';
import { planReach } from './reach.ts';

const run = promisify(execFile);
const PREFIX = 'davy-worker';
/** Of the largest number of files that the watch lets pass, on a busy disk. */
const REMOVE_TIMEOUT_MS = 60_000;
/**
 * chmod first: nobody can look into a folder of mode 0300, not even its owner. Neither follows links that it meets. Twice:
 * a process that is being killed may still end the call it is in, which makes a file.
 */
const REMOVE = 'chmod -R u+rwX -- "$1" 2>/dev/null; rm -rf -- "$1" 2>/dev/null || { sleep 1; exec rm -rf -- "$1"; }';

/** A private folder, for the uid of the worker where that is another one. */
export function makeWorkerFolder(owner: number | undefined): string {
  const path = mkdtempSync(join(temporaryBase(), `${ownPrefix()}-`));
  if (owner !== undefined) chownSync(path, owner, owner);
  return path;
}

/**
 * Once nothing of the worker is alive. What lies in the folder may be hidden, nested thousands of levels deep, or simply a
 * lot: another process deals with it, not this one's event loop and descriptors.
 */
export async function removeWorkerFolder(path: string): Promise<void> {
  forgetGroup(path);
  const isGone = await rmdir(path).then(
    () => true,
    () => !existsSync(path),
  );
  if (!isGone) await run('/bin/sh', ['-c', REMOVE, 'davy', path], { timeout: REMOVE_TIMEOUT_MS, cwd: '/' });
}

/** Ends and removes what servers left behind that were killed before they could. `isWorkerUid`: whose a folder may be but ours. */
export async function sweepWorkerFolders(isWorkerUid: (uid: number) => boolean): Promise<void> {
  const base = temporaryBase();
  for (const name of readdirSync(base)) {
    const pid = new RegExp(`^${PREFIX}-${namespaceId()}-(\\d+)-\\w+$`).exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`) || !isOurs(join(base, name), isWorkerUid)) continue;
    endLeftGroup(join(base, name));
    await removeWorkerFolder(join(base, name)).catch(() => {});
  }
}

/** Anybody can make anything of such a name in /tmp, a link to /etc included: only what a server made is touched. */
function isOurs(path: string, isWorkerUid: (uid: number) => boolean): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && (stat.uid === process.getuid?.() || isWorkerUid(stat.uid));
}

const ownPrefix = (): string => `${PREFIX}-${namespaceId()}-${process.pid}`;

/** A process id means something within one pid namespace only; containers may share a /tmp. */
function namespaceId(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
  } catch {
    return '0';
  }
}

/** A worker's uid must be able to walk there: a TMPDIR that is closed, or inside a closed folder, would be of no use. */
function temporaryBase(): string {
  const bases = [tmpdir(), '/tmp', '/var/tmp'].filter((path) => existsSync(path));
  const isOpen = (path: string): boolean => {
    const { blocked, closed } = planReach([path]);
    return blocked.length + closed.length === 0;
  };
  return bases.find(isOpen) ?? '/tmp';
}

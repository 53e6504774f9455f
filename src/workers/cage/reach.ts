// Lets a worker's uid reach files that lie inside other people's closed folders, without opening those folders.
import { statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';

export interface ReachPlan {
  /** Folders on the way that the uid may not pass, outermost only. */
  readonly blocked: readonly string[];
  /** The wanted paths below them, none inside another: a mount point must never be made in a folder of the host's. */
  readonly behind: readonly string[];
  /** Wanted paths that are closed themselves: no mount helps, their owner must open them. */
  readonly closed: readonly string[];
}

/** Where the mounts are parked while a blocked folder is covered; the first that holds none of the wanted paths. */
const ANCHORS = ['/mnt', '/media', '/srv', '/opt'];

const OTHERS_MAY_PASS = 0o1;
const OTHERS_MAY_READ = 0o4;

/** Judges by the permission bits for others: worker uids own nothing. */
export function planReach(paths: readonly string[], stat: (path: string) => Stats = statSync): ReachPlan {
  const blocked = new Set<string>();
  const behind: string[] = [];
  const closed: string[] = [];
  for (const path of paths) {
    const ancestor = ancestors(path).find((folder) => (stat(folder).mode & OTHERS_MAY_PASS) === 0);
    if (ancestor !== undefined) {
      blocked.add(ancestor);
      behind.push(path);
    }
    const { mode } = stat(path);
    const isOpen = (mode & OTHERS_MAY_READ) !== 0 && (!stat(path).isDirectory() || (mode & OTHERS_MAY_PASS) !== 0);
    if (!isOpen) closed.push(path);
  }
  const outermost = [...blocked].filter((folder) => !ancestors(folder).some((above) => blocked.has(above)));
  const within = [...new Set(paths)].filter(
    (path) => behind.includes(path) || outermost.some((folder) => isInside(path, folder)),
  );
  const whole = within.filter((path) => !within.some((other) => isInside(path, other)));
  return { blocked: outermost, behind: whole, closed };
}

/**
 * Shell lines for a private mount namespace: park every wanted path, cover each blocked folder with an empty one, and
 * move the wanted paths back to where they were. Everything else in the blocked folder disappears.
 */
export function reachScript(plan: ReachPlan, isDirectory: (path: string) => boolean): string[] {
  if (plan.blocked.length === 0) return [];
  const anchor = ANCHORS.find((folder) => !plan.behind.some((path) => `${path}/`.startsWith(`${folder}/`)));
  if (anchor === undefined) throw new Error('no free mount point');
  const parked = plan.behind.map((path, index) => ({ path, at: `${anchor}/${index}` }));
  const point = (path: string, at: string): string =>
    isDirectory(path) ? `mkdir -p ${quote(at)}` : `mkdir -p ${quote(dirname(at))}; : >> ${quote(at)}`;
  return [
    `mount -t tmpfs -o size=64k,mode=755 davy ${anchor}`,
    ...parked.flatMap(({ path, at }) => [point(path, at), `mount --rbind ${quote(path)} ${at}`]),
    ...plan.blocked.map((folder) => `mount -t tmpfs -o size=64k,mode=755 davy ${quote(folder)}`),
    ...parked.flatMap(({ path, at }) => [point(path, path), `mount --move ${at} ${quote(path)}`]),
    `umount ${anchor}`,
  ];
}

/** One word for a POSIX shell, whatever it contains. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

const isInside = (path: string, folder: string): boolean => path.startsWith(`${folder}/`);

function ancestors(path: string): string[] {
  const above: string[] = [];
  for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) above.unshift(folder);
  return above;
}

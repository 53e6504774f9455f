// Control groups: the only limits that hold a worker and all its children together. v2 where delegated, else v1.
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { join, resolve } from 'node:path';
import type { WorkerLimits } from '../../policy/index.ts';
import { kernelText } from './kernel-text.ts';

const CONTROLLERS = ['memory', 'pids', 'cpu'] as const;
type Controller = (typeof CONTROLLERS)[number];

/** Where this server may make groups: for v2 one folder for all controllers, for v1 one each. */
export interface CgroupHost {
  readonly version: 1 | 2;
  readonly roots: ReadonlyMap<Controller, string>;
}

/** One worker's group. */
export interface WorkerCgroup {
  /** Files that a process writes its id into, to enter. */
  readonly entrances: readonly string[];
  /** How many processes of the group the kernel killed for want of memory. */
  oomKills(): number;
  /** Kills what is left in the group and removes it. */
  dispose(): Promise<void>;
}

/** Groups are called `davy-SERVERPID-NUMBER`, so that a later server can tell what a dead one left behind. */
const PREFIX = 'davy';
const SERVER_LEAF = new RegExp(`/${PREFIX}-server$`);
/** One period of the CPU scheduler, in microseconds. */
const CPU_PERIOD_US = 100_000;
const REMOVE_ATTEMPTS = 50;
const REMOVE_PAUSE_MS = 10;

/** Finds what may be written; null where there is nothing. `files` makes another root than `/` testable. */
export function findCgroups(root = '/', pid: number = process.pid): CgroupHost | null {
  const memberships = kernelText(join(root, 'proc/self/cgroup')).split('\n');
  const mounts = cgroupMounts(kernelText(join(root, 'proc/self/mountinfo')));
  const roots = new Map<Controller, string>();
  for (const controller of CONTROLLERS) {
    const mount = mounts.find((entry) => entry.version === 1 && entry.controllers.includes(controller));
    const path = memberships.find((line) => line.split(':')[1]?.split(',').includes(controller))?.split(':')[2];
    if (mount === undefined || path === undefined) continue;
    const own = join(root, ownFolder(mount, path));
    if (isUsable(own, pid)) roots.set(controller, own);
  }
  if (roots.has('memory')) return { version: 1, roots };

  const unified = mounts.find((entry) => entry.version === 2);
  const path = memberships.find((line) => line.startsWith('0::'))?.slice(3);
  if (unified === undefined || path === undefined) return null;
  // Whoever looks again finds itself in the leaf that it made.
  return delegated(join(root, ownFolder(unified, path.replace(SERVER_LEAF, ''))), pid);
}

/** Makes the group of one worker. Throws when the kernel refuses a limit: an unlimited group would be a lie. */
export function makeWorkerCgroup(host: CgroupHost, number: number, limits: WorkerLimits): WorkerCgroup {
  const name = `${PREFIX}-${process.pid}-${number}`;
  const folders = new Map<Controller, string>();
  for (const [controller, root] of host.roots) {
    const folder = join(root, name);
    mkdirSync(folder, { recursive: true });
    folders.set(controller, folder);
  }
  const unique = [...new Set(folders.values())];
  for (const [controller, folder] of folders) {
    for (const [file, value] of settings(host.version, controller, limits)) {
      if (existsSync(join(folder, file))) writeFileSync(join(folder, file), value);
    }
  }
  const memory = folders.get('memory');
  const oomFile = host.version === 2 ? 'memory.events' : 'memory.oom_control';
  return {
    entrances: unique.map((folder) => join(folder, 'cgroup.procs')),
    oomKills: () =>
      Number(/^oom_kill (\d+)$/m.exec(memory === undefined ? '' : kernelText(join(memory, oomFile)))?.[1] ?? 0),
    dispose: async () => {
      for (const folder of unique) await removeGroup(folder);
    },
  };
}

function settings(version: 1 | 2, controller: Controller, limits: WorkerLimits): [string, string][] {
  const quota = String(Math.round((limits.cpus ?? 0) * CPU_PERIOD_US));
  switch (controller) {
    case 'memory':
      return version === 2
        ? [
            ['memory.max', String(limits.memoryBytes)],
            ['memory.swap.max', '0'],
            ['memory.oom.group', '1'],
          ]
        : [
            ['memory.limit_in_bytes', String(limits.memoryBytes)],
            ['memory.memsw.limit_in_bytes', String(limits.memoryBytes)],
          ];
    case 'pids':
      return [['pids.max', String(limits.tasks)]];
    case 'cpu':
      if (limits.cpus === null) return [];
      return version === 2
        ? [['cpu.max', `${quota} ${CPU_PERIOD_US}`]]
        : [
            ['cpu.cfs_period_us', String(CPU_PERIOD_US)],
            ['cpu.cfs_quota_us', quota],
          ];
  }
}

/** Whether groups can be made here. Sweeps what dead servers left behind on the way. */
function isUsable(folder: string, pid: number): boolean {
  try {
    for (const name of readdirSync(folder)) removeStale(folder, name);
    const trial = join(folder, `${PREFIX}-${pid}-trial`);
    mkdirSync(trial, { recursive: true });
    rmdirSync(trial);
    return true;
  } catch {
    return false;
  }
}

/** v2 takes limits only in a subtree whose parent holds no process: the server moves into a leaf of its own. Sweeps, too. */
function delegated(own: string, pid: number): CgroupHost | null {
  try {
    const offered = kernelText(join(own, 'cgroup.controllers')).trim().split(/\s+/);
    const usable = CONTROLLERS.filter((controller) => offered.includes(controller));
    if (!usable.includes('memory')) return null;
    for (const name of readdirSync(own)) removeStale(own, name);
    mkdirSync(join(own, `${PREFIX}-server`), { recursive: true });
    writeFileSync(join(own, `${PREFIX}-server`, 'cgroup.procs'), String(pid));
    writeFileSync(join(own, 'cgroup.subtree_control'), usable.map((controller) => `+${controller}`).join(' '));
    return { version: 2, roots: new Map(usable.map((controller) => [controller, own])) };
  } catch {
    return null;
  }
}

interface CgroupMount {
  readonly version: 1 | 2;
  readonly point: string;
  readonly root: string;
  readonly controllers: readonly string[];
}

function cgroupMounts(mountinfo: string): CgroupMount[] {
  const found: CgroupMount[] = [];
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ');
    const [, , , root, point] = (left ?? '').split(' ');
    const [type, , options] = (right ?? '').split(' ');
    if (root === undefined || point === undefined) continue;
    if (type === 'cgroup') found.push({ version: 1, root, point, controllers: (options ?? '').split(',') });
    if (type === 'cgroup2') found.push({ version: 2, root, point, controllers: [] });
  }
  return found;
}

/** The mount may show only a part of the hierarchy (in a container): what is above its root is not ours to name. */
function ownFolder(mount: CgroupMount, path: string): string {
  const below = mount.root !== '/' && path.startsWith(mount.root) ? path.slice(mount.root.length) : path;
  return resolve(mount.point, `./${below}`);
}

async function removeGroup(folder: string): Promise<void> {
  for (let attempt = 0; attempt < REMOVE_ATTEMPTS; attempt++) {
    for (const line of kernelText(join(folder, 'cgroup.procs')).split('\n')) endProcess(Number(line));
    try {
      rmdirSync(folder);
      return;
    } catch {
      if (!existsSync(folder)) return;
      await delay(REMOVE_PAUSE_MS);
    }
  }
}

/** A worker outlives a server that was killed only at level `process`, and only until the next one starts. */
function removeStale(parent: string, name: string): void {
  const pid = new RegExp(`^${PREFIX}-(\\d+)-\\w+$`).exec(name)?.[1];
  if (pid === undefined || existsSync(`/proc/${pid}`)) return;
  removeGroup(join(parent, name)).catch(() => {});
}

/** A process of another pid namespace is listed as 0, and 0 would mean our own group. */
function endProcess(pid: number): void {
  if (pid <= 1) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

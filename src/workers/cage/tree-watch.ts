// Watches a worker's process tree where nothing in the kernel bounds it as a whole: late by a second, but certain.
import { readFileSync, readdirSync } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

const INTERVAL_MS = 1000;
const KiB = 1024;
/** More files than any library caches; counting further would make the watch itself the victim. */
const MAX_FILES = 65_536;
const BLOCK_BYTES = 512;

/** What to watch; what is null or absent is bounded by other means. */
export interface TreeBounds {
  readonly memoryBytes: number | null;
  readonly tasks: number | null;
  readonly folder: { readonly path: string; readonly bytes: number } | null;
}

export type Excess = 'memory' | 'tasks' | 'tmp';

/** Calls `onOver` once, with the first bound that the tree under `pid` exceeds. The result stops the watch. */
export function watchTree(pid: number, bounds: TreeBounds, onOver: (excess: Excess) => void): () => void {
  let isStopped = false;
  let timer: NodeJS.Timeout;
  const look = async (): Promise<void> => {
    const excess = await findExcess(pid, bounds);
    if (isStopped) return;
    if (excess === null) schedule();
    else onOver(excess);
  };
  const schedule = (): void => {
    // A folder that vanishes while it is counted is the worker's doing: look again at the next turn.
    timer = setTimeout(() => void look().catch(schedule), INTERVAL_MS).unref();
  };
  schedule();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}

async function findExcess(pid: number, bounds: TreeBounds): Promise<Excess | null> {
  if (bounds.memoryBytes !== null || bounds.tasks !== null) {
    const tree = measureTree(pid);
    if (bounds.memoryBytes !== null && tree.bytes > bounds.memoryBytes) return 'memory';
    if (bounds.tasks !== null && tree.tasks > bounds.tasks) return 'tasks';
  }
  if (bounds.folder !== null && (await folderBytes(bounds.folder.path)) > bounds.folder.bytes) return 'tmp';
  return null;
}

/** Anonymous and shared memory, and the number of threads, of a process and its descendants. */
export function measureTree(root: number): { readonly bytes: number; readonly tasks: number } {
  let bytes = 0;
  let tasks = 0;
  const pids = [root];
  for (const pid of pids) {
    const status = text(`/proc/${pid}/status`);
    // Adopted by a worker that never asks how its orphans ended: they weigh nothing.
    if (/^State:\s+Z/m.test(status)) continue;
    for (const field of ['RssAnon', 'RssShmem']) {
      bytes += Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * KiB;
    }
    for (const thread of threads(pid)) {
      tasks++;
      const children = text(`/proc/${pid}/task/${thread}/children`).trim();
      if (children !== '') pids.push(...children.split(' ').map(Number));
    }
  }
  return { bytes, tasks };
}

/** Follows no links. Infinite when there are too many files to count. */
async function folderBytes(root: string): Promise<number> {
  let bytes = 0;
  let files = 0;
  const folders = [root];
  for (const folder of folders) {
    for await (const entry of await opendir(folder)) {
      if (++files > MAX_FILES) return Infinity;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else bytes += (await lstat(path)).blocks * BLOCK_BYTES;
    }
  }
  return bytes;
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

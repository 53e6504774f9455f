// Watches the memory of a process tree where no cgroup does it: late by up to a second, but better than nothing.
import { readFileSync, readdirSync } from 'node:fs';

const INTERVAL_MS = 1000;
const KiB = 1024;

/** Calls `onOver` once when the tree under `pid` holds more than `limitBytes`. The result stops the watch. */
export function watchMemory(pid: number, limitBytes: number, onOver: () => void): () => void {
  const timer = setInterval(() => {
    if (treeBytes(pid) <= limitBytes) return;
    clearInterval(timer);
    onOver();
  }, INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Anonymous and shared memory of a process and its descendants. What a memfd holds without mapping it is not seen. */
export function treeBytes(root: number): number {
  let sum = 0;
  const pids = [root];
  for (const pid of pids) {
    const status = text(`/proc/${pid}/status`);
    for (const field of ['RssAnon', 'RssShmem']) {
      sum += Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * KiB;
    }
    for (const thread of threads(pid)) {
      const children = text(`/proc/${pid}/task/${thread}/children`).trim();
      if (children !== '') pids.push(...children.split(' ').map(Number));
    }
  }
  return sum;
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

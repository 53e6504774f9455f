// What a process and its descendants take of the machine, from /proc.
import { readdirSync } from 'node:fs';
import { kernelText } from './kernel-text.ts';

const KiB = 1024;

export interface ProcessTree {
  /** Anonymous and shared memory. */
  readonly bytes: number;
  /** Processes and threads. */
  readonly tasks: number;
  /** Parents before children. */
  readonly pids: readonly number[];
}

/** Stops counting above `maxTasks`: a tree that grows while it is counted must not hold up whoever counts. */
export function measureTree(root: number, maxTasks = Infinity): ProcessTree {
  let bytes = 0;
  let tasks = 0;
  const pids = [root];
  for (const pid of pids) {
    if (tasks > maxTasks) break;
    const status = kernelText(`/proc/${pid}/status`);
    // Adopted by a worker that never asks how its orphans ended: they weigh nothing.
    if (/^State:\s+Z/m.test(status)) continue;
    for (const field of ['RssAnon', 'RssShmem']) {
      bytes += Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * KiB;
    }
    for (const thread of threads(pid)) {
      tasks++;
      const children = kernelText(`/proc/${pid}/task/${thread}/children`).trim();
      if (children !== '') pids.push(...children.split(' ').map(Number));
    }
  }
  return { bytes, tasks, pids };
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

// How much memory a worker really holds: describe's `memoryUsage` (surface spec 3.3).
import { readdirSync, readFileSync } from 'node:fs';

/** A caged worker is a child of its cage; a handler may start processes of its own, but not to slow describe down. */
const MAX_PROCESSES = 64;

/** Resident bytes of a process and its descendants; 0 when it is gone. Reads /proc: no disk, tens of microseconds. */
export function rssOf(pid: number): number {
  let bytes = 0;
  const waiting = [pid];
  for (let visited = 0; visited < MAX_PROCESSES; visited++) {
    const next = waiting.pop();
    if (next === undefined) break;
    bytes += residentBytes(next);
    waiting.push(...childrenOf(next));
  }
  return bytes;
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(procText(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

function childrenOf(pid: number): readonly number[] {
  const lists = threadsOf(pid).map((thread) => procText(`/proc/${pid}/task/${thread}/children`));
  return lists.flatMap((list) =>
    list
      .split(' ')
      .filter((word) => word !== '')
      .map(Number),
  );
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** A process may end between any two reads. */
function procText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

// One measurement: what a load generator saw, and what the processes under test spent meanwhile.
import { readFileSync, readdirSync } from 'node:fs';

export interface LoadSummary {
  readonly requests: number;
  readonly errors: number;
  readonly rps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Measurement extends LoadSummary {
  /** User and system time of the whole process tree, divided by the requests it answered. */
  readonly cpuUsPerRequest: number;
}

export function summarize(latencies: number[], elapsedMs: number, errors: number): LoadSummary {
  const sorted = Float64Array.from(latencies).toSorted();
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return {
    requests: sorted.length,
    errors,
    rps: (sorted.length / elapsedMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

/** USER_HZ: fixed at 100 on every Linux that Node runs on. */
const TICK_US = 10_000;

/** CPU time of a process and all its living descendants, in microseconds. Ended children count through their parents. */
export function treeCpuUs(root: number): number {
  const processes = new Map<number, { parent: number; ticks: number }>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readStat(name);
    if (stat !== undefined) processes.set(Number(name), stat);
  }
  const isInTree = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = processes.get(at)?.parent)
      if (at === root) return true;
    return false;
  };
  let ticks = 0;
  for (const [pid, process] of processes) if (isInTree(pid)) ticks += process.ticks;
  return ticks * TICK_US;
}

/** proc(5): after the command's closing parenthesis, field 3 is the state; 4 ppid; 14 to 17 utime, stime, cutime, cstime. */
function readStat(pid: string): { parent: number; ticks: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined; // Ended since the directory was read.
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  return { parent: field(4), ticks: field(14) + field(15) + field(16) + field(17) };
}

/** Per cent of the last ten seconds in which some process waited for a CPU. */
export function cpuPressure(): number {
  try {
    return Number(/some avg10=([\d.]+)/.exec(readFileSync('/proc/pressure/cpu', 'utf8'))?.[1] ?? 0);
  } catch {
    return Number.NaN; // A kernel without pressure information.
  }
}

/** The mean of the middle two when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2;
}

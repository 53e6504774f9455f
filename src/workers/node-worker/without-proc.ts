// A cage has no /proc, where Node looks things up that handlers and their libraries ask in passing. Here they get an answer.
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { getHeapStatistics } from 'node:v8';

const KIB = 1024;

/** Replaces what throws or is empty without /proc; what works stays as it is. Call it before handler code is imported. */
export function answerWithoutProc(): void {
  if (works(() => process.memoryUsage())) return;
  process.memoryUsage = Object.assign(memoryUsage, { rss: peakRss });
  if (os.cpus().length === 0) os.cpus = cpus;
  if (!works(() => os.userInfo())) os.userInfo = userInfo as typeof os.userInfo;
  if (!works(() => os.networkInterfaces())) os.networkInterfaces = () => ({});
  // `import { cpus } from 'node:os'` reads a copy.
  syncBuiltinESMExports();
}

/** The kernel tells a process its peak, not its present size: `rss` never shrinks here. */
function peakRss(): number {
  return process.resourceUsage().maxRSS * KIB;
}

function memoryUsage(): NodeJS.MemoryUsage {
  const heap = getHeapStatistics();
  return {
    rss: peakRss(),
    heapTotal: heap.total_heap_size,
    heapUsed: heap.used_heap_size,
    external: heap.external_memory,
    arrayBuffers: 0,
  };
}

function cpus(): os.CpuInfo[] {
  const times = { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 };
  return Array.from({ length: os.availableParallelism() }, () => ({ model: 'unknown', speed: 0, times }));
}

function userInfo(): os.UserInfo<string> {
  return {
    uid: process.getuid?.() ?? -1,
    gid: process.getgid?.() ?? -1,
    username: 'worker',
    homedir: os.homedir(),
    shell: null,
  };
}

function works(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}

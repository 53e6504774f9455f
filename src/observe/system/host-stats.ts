// The numbers of TorchServe's system collector (surface spec 4.3), read from /proc and cgroups instead of by a Python process.
import { readFile, statfs } from 'node:fs/promises';
import { readCgroup, type CgroupSample } from './cgroup.ts';

export interface HostSample {
  readonly cpuPercent: number;
  readonly memoryUsedBytes: number;
  readonly memoryAvailableBytes: number;
  readonly memoryPercent: number;
  readonly diskUsedBytes: number;
  readonly diskAvailableBytes: number;
  readonly diskPercent: number;
}

/** Samples the machine, or the container when it is limited. CPU is the share since the sample before; 0 at first. */
export function hostStats(now: () => number = () => performance.now()): () => Promise<HostSample> {
  let before: CpuReading | undefined;
  return async () => {
    const [cgroup, stat, meminfo, disk] = await Promise.all([
      readCgroup(),
      readFile('/proc/stat', 'utf8'),
      readFile('/proc/meminfo', 'utf8'),
      statfs('/'),
    ]);
    const cpu = cpuReading(cgroup, stat, now());
    const cpuPercent = before === undefined ? 0 : percent(cpu.busy - before.busy, cpu.total - before.total);
    before = cpu;
    const memory = memoryOf(cgroup, meminfo);
    const diskUsedBytes = (disk.blocks - disk.bfree) * disk.bsize;
    const diskAvailableBytes = disk.bavail * disk.bsize;
    return {
      cpuPercent,
      memoryUsedBytes: memory.usedBytes,
      memoryAvailableBytes: memory.totalBytes - memory.usedBytes,
      memoryPercent: percent(memory.usedBytes, memory.totalBytes),
      diskUsedBytes,
      diskAvailableBytes,
      diskPercent: percent(diskUsedBytes, diskUsedBytes + diskAvailableBytes),
    };
  };
}

/** Busy and total time since some start, in one unit. */
interface CpuReading {
  readonly busy: number;
  readonly total: number;
}

function cpuReading(cgroup: CgroupSample, stat: string, nowMs: number): CpuReading {
  if (cgroup.cpu !== undefined) return { busy: cgroup.cpu.usedMicros, total: nowMs * 1000 * cgroup.cpu.processors };
  return parseProcStat(stat);
}

/** The first line of /proc/stat; idle and iowait are not busy, guest time is already in user time. */
export function parseProcStat(stat: string): CpuReading {
  const ticks = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(' ').map(Number).slice(0, 8);
  const total = ticks.reduce((sum, part) => sum + part, 0);
  return { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total };
}

function memoryOf(cgroup: CgroupSample, meminfo: string): { usedBytes: number; totalBytes: number } {
  const host = parseMeminfo(meminfo);
  if (cgroup.memory === undefined || cgroup.memory.limitBytes >= host.totalBytes) return host;
  return { usedBytes: cgroup.memory.usedBytes, totalBytes: cgroup.memory.limitBytes };
}

export function parseMeminfo(meminfo: string): { usedBytes: number; totalBytes: number } {
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0);
  const totalBytes = kibibytes('MemTotal') * 1024;
  return { usedBytes: totalBytes - kibibytes('MemAvailable') * 1024, totalBytes };
}

const percent = (part: number, whole: number): number =>
  whole > 0 ? Math.min(100, Math.max(0, (part / whole) * 100)) : 0;

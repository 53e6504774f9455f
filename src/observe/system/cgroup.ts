// The limits of the container or slice that this process runs in (cgroup v2, else v1): on a shared machine the host's
// numbers would say that all is well until the kernel ends a worker.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface CgroupSample {
  /** Bytes in use without reclaimable page cache, and the limit; undefined when there is no limit. */
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number } | undefined;
  /** CPU time used so far in microseconds, and the processors it may use; undefined when there is no limit. */
  readonly cpu: { readonly usedMicros: number; readonly processors: number } | undefined;
}

const ROOT = '/sys/fs/cgroup';

export async function readCgroup(): Promise<CgroupSample> {
  const membership = await text('/proc/self/cgroup');
  const unified = /^0::(\/.*)$/m.exec(membership ?? '')?.[1];
  const memory = (await firstOf(ancestors(unified), memoryV2)) ?? (await memoryV1());
  const cpu = (await firstOf(ancestors(unified), cpuV2)) ?? (await cpuV1());
  return { memory, cpu };
}

/** From the process's own group up to the root: a limit may sit on any of them. The nearest one counts. */
function ancestors(path: string | undefined): readonly string[] {
  if (path === undefined) return [];
  const found: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    found.push(join(ROOT, at));
    if (at === '/' || found.length > 32) return found;
  }
}

async function firstOf<T>(
  directories: readonly string[],
  read: (directory: string) => Promise<T | undefined>,
): Promise<T | undefined> {
  for (const directory of directories) {
    const found = await read(directory);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function memoryV2(directory: string): Promise<CgroupSample['memory']> {
  const limitBytes = number(await text(join(directory, 'memory.max')));
  const current = number(await text(join(directory, 'memory.current')));
  if (limitBytes === undefined || current === undefined) return undefined;
  return { usedBytes: current - (await inactiveFile(join(directory, 'memory.stat'))), limitBytes };
}

async function memoryV1(): Promise<CgroupSample['memory']> {
  const directory = join(ROOT, 'memory');
  const limitBytes = number(await text(join(directory, 'memory.limit_in_bytes')));
  const current = number(await text(join(directory, 'memory.usage_in_bytes')));
  // "No limit" is a number near 2^63 in version 1.
  if (limitBytes === undefined || current === undefined || limitBytes > 2 ** 60) return undefined;
  return { usedBytes: current - (await inactiveFile(join(directory, 'memory.stat'))), limitBytes };
}

async function inactiveFile(path: string): Promise<number> {
  return number(/^(?:total_)?inactive_file (\d+)$/m.exec((await text(path)) ?? '')?.[1]) ?? 0;
}

async function cpuV2(directory: string): Promise<CgroupSample['cpu']> {
  const [quota, period] = ((await text(join(directory, 'cpu.max'))) ?? '').split(' ').map(number);
  const usedMicros = number(/^usage_usec (\d+)$/m.exec((await text(join(directory, 'cpu.stat'))) ?? '')?.[1]);
  if (quota === undefined || period === undefined || usedMicros === undefined) return undefined;
  return { usedMicros, processors: quota / period };
}

async function cpuV1(): Promise<CgroupSample['cpu']> {
  const quota = number(await text(join(ROOT, 'cpu', 'cpu.cfs_quota_us')));
  const period = number(await text(join(ROOT, 'cpu', 'cpu.cfs_period_us')));
  const usedNanos = number(await text(join(ROOT, 'cpuacct', 'cpuacct.usage')));
  if (quota === undefined || quota <= 0 || period === undefined || usedNanos === undefined) return undefined;
  return { usedMicros: usedNanos / 1000, processors: quota / period };
}

/** Undefined for `max`, for nothing, and for what is no number. */
function number(value: string | undefined): number | undefined {
  const trimmed = value?.trim();
  if (trimmed === undefined || trimmed === '') return undefined;
  const parsed = Number(trimmed);
  return Number.isFinite(parsed) ? parsed : undefined;
}

/** A file that is not there means a controller that is not there. */
async function text(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}

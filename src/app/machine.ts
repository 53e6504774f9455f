// What this machine offers to workers.
import { readdirSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import type { Settings } from '../config/index.ts';

export interface Machine {
  /** CPUs that all workers share. */
  readonly cpuBudget: number;
  readonly gpuCount: number;
  readonly memoryBytes: number;
}

export function inspectMachine({ workers }: Settings): Machine {
  return {
    // libuv looks at the affinity mask and at the cgroup's CPU quota.
    cpuBudget: workers.cpuBudget === 'auto' ? availableParallelism() : workers.cpuBudget,
    gpuCount: Math.min(countGpus(), workers.maxGpus ?? Infinity),
    memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity),
  };
}

/** NVIDIA's driver makes one device node for each GPU; asking it is free, nvidia-smi takes a second. */
function countGpus(): number {
  return readdirSync('/dev').filter((name) => /^nvidia\d+$/.test(name)).length;
}

// GPU numbers from nvidia-smi, asked once per interval and only where a driver is loaded; describe reads the last answer.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

export interface GpuSample {
  readonly id: number;
  readonly utilizationPercent: number;
  /** How busy the memory controller was: what TorchServe prints as `utilization.memory`. */
  readonly memoryBusyPercent: number;
  readonly memoryUsedMiB: number;
  readonly memoryTotalMiB: number;
}

const FIELDS = 'index,utilization.gpu,utilization.memory,memory.used,memory.total';
const ARGUMENTS = [`--query-gpu=${FIELDS}`, '--format=csv,noheader,nounits'];
/** nvidia-smi hangs when a driver does. */
const TIMEOUT_MS = 5000;

/** Undefined on a machine without an NVIDIA driver. The function answers `[]` when nvidia-smi fails. */
export function nvidiaStats(): (() => Promise<readonly GpuSample[]>) | undefined {
  if (!existsSync('/dev/nvidiactl')) return undefined;
  return async () => {
    try {
      const { stdout } = await promisify(execFile)('nvidia-smi', ARGUMENTS, { timeout: TIMEOUT_MS });
      return parseGpuLines(stdout);
    } catch {
      return [];
    }
  };
}

/** `0, 35, 12, 1024, 81559` for each GPU; `[N/A]` (a MIG slice) counts as 0. */
export function parseGpuLines(text: string): readonly GpuSample[] {
  return text
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length === 5 && /^\d+$/.test(fields[0] ?? ''))
    .map((fields) => {
      const [id = 0, gpu = 0, memory = 0, used = 0, total = 0] = fields.map((field) => Number(field) || 0);
      return { id, utilizationPercent: gpu, memoryBusyPercent: memory, memoryUsedMiB: used, memoryTotalMiB: total };
    });
}

/** Describe's `gpuUsage` (surface spec 3.3). */
export function gpuUsageText(sample: GpuSample | undefined): string {
  if (sample === undefined) return 'failed to obtained gpu usage';
  const { id, utilizationPercent, memoryBusyPercent, memoryUsedMiB } = sample;
  return `gpuId::${id} utilization.gpu::${utilizationPercent} % utilization.memory::${memoryBusyPercent} % memory.used::${memoryUsedMiB} MiB`;
}

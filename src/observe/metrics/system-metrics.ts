// Keeps the machine's gauges fresh: at once, then once per interval (surface spec 4.3, system collector).
import type { Clock, Timer } from '../../kernel/index.ts';
import type { HostSample } from '../system/host-stats.ts';
import type { GpuSample } from '../system/nvidia.ts';
import type { MetricSet } from './metric-set.ts';

export interface SystemMetricsOptions {
  readonly metrics: MetricSet;
  readonly hostname: string;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly readHost: () => Promise<HostSample>;
  readonly readGpus: (() => Promise<readonly GpuSample[]>) | undefined;
  /** Called when a sample could not be taken. */
  readonly onFailure: (error: unknown) => void;
}

const MEGABYTE = 1024 ** 2;
const GIGABYTE = 1024 ** 3;

export class SystemMetrics {
  readonly #options: SystemMetricsOptions;
  #timer: Timer | undefined;
  #sampling: Promise<void> | undefined;
  #isStopped = false;
  /** The last answer of nvidia-smi, by GPU id. */
  #gpus: ReadonlyMap<number, GpuSample> = new Map();

  constructor(options: SystemMetricsOptions) {
    this.#options = options;
    this.#sampleNow();
  }

  gpu(id: number): GpuSample | undefined {
    return this.#gpus.get(id);
  }

  /** Resolves when the sample in hand, if any, is done. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#sampling;
  }

  #sampleNow(): void {
    this.#sampling = this.#sample()
      .catch((error: unknown) => this.#options.onFailure(error))
      .finally(() => {
        if (!this.#isStopped)
          this.#timer = this.#options.clock.after(this.#options.intervalMs, () => this.#sampleNow());
      });
  }

  async #sample(): Promise<void> {
    const host = await this.#options.readHost();
    this.#set('CPUUtilization', host.cpuPercent);
    this.#set('MemoryUsed', host.memoryUsedBytes / MEGABYTE);
    this.#set('MemoryAvailable', host.memoryAvailableBytes / MEGABYTE);
    this.#set('MemoryUtilization', host.memoryPercent);
    this.#set('DiskUsage', host.diskUsedBytes / GIGABYTE);
    this.#set('DiskAvailable', host.diskAvailableBytes / GIGABYTE);
    this.#set('DiskUtilization', host.diskPercent);
    const gpus = (await this.#options.readGpus?.()) ?? [];
    this.#gpus = new Map(gpus.map((gpu) => [gpu.id, gpu]));
    for (const gpu of gpus) this.#setGpu(gpu);
  }

  #setGpu(gpu: GpuSample): void {
    const share = gpu.memoryTotalMiB > 0 ? (gpu.memoryUsedMiB / gpu.memoryTotalMiB) * 100 : 0;
    this.#set('GPUMemoryUtilization', share, gpu.id);
    this.#set('GPUMemoryUsed', gpu.memoryUsedMiB, gpu.id);
    this.#set('GPUUtilization', gpu.utilizationPercent, gpu.id);
  }

  #set(name: string, value: number, deviceId?: number): void {
    const { metrics, hostname } = this.#options;
    const labels = deviceId === undefined ? ['Host', hostname] : ['Host', String(deviceId), hostname];
    metrics
      .get(name)
      ?.at(labels)
      ?.update(Math.round(value * 1000) / 1000);
  }
}

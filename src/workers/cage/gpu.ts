// Device nodes of one NVIDIA GPU. Its driver is a large surface: the level is then reported as `strict` with a GPU.
import { existsSync } from 'node:fs';

/** What the user-space driver reads of the machine. */
export const GPU_PATHS: readonly string[] = [
  '/proc/driver/nvidia',
  '/sys/bus/pci',
  '/sys/devices',
  '/sys/module/nvidia',
];

const SHARED_NODES = ['/dev/nvidiactl', '/dev/nvidia-uvm'];

/** The nodes that exist for this GPU, by its minor number; empty when the driver is not loaded. */
export function gpuDevices(gpuId: number): string[] {
  const own = `/dev/nvidia${gpuId}`;
  return existsSync(own) ? [...SHARED_NODES, own].filter((path) => existsSync(path)) : [];
}

// Workers: the processes that models run in, and the cage around them.
import type { WorkerLauncher } from '../serving/index.ts';
import { WorkerProcess, type WorkerProcessOptions } from './worker-process.ts';

export * from './cage/index.ts';
export { askWheelTags, type WheelTags } from './wheel-tags.ts';
export type { WorkerProcessOptions } from './worker-process.ts';

export function createWorkerLauncher(options: WorkerProcessOptions): WorkerLauncher {
  return { launch: (spec, events) => new WorkerProcess(spec, events, options) };
}

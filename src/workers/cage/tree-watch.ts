// Watches workers' process trees where nothing in the kernel bounds them as a whole: late by a moment, but certain.
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { folderBytes, MAX_FILES, mountUsage } from './folder-size.ts';
import { measureTree } from './process-tree.ts';
import { kernelText } from './kernel-text.ts';

/** How often the machine as a whole is glanced at: two small reads, whatever runs on it. */
const GLANCE_MS = 100;
/** How many glances apart all trees are measured, whatever the glances say. */
const GLANCES_PER_LOOK = 10;
/** Growth of the machine between two looks that no ordinary request causes: some worker may have started to take it all. */
const SUDDEN_TASKS = 32;
const SUDDEN_BYTES = 64 * 1024 ** 2;
/** Counting files takes at most a tenth of the time. */
const COUNT_PAUSE = 10;
const KiB = 1024;

/** What to watch; what is null is bounded by other means. */
export interface TreeBounds {
  readonly memoryBytes: number | null;
  readonly tasks: number | null;
  /** A folder of the machine that is the worker's own. */
  readonly folder: { readonly path: string; readonly bytes: number } | null;
  /** The worker's own tmpfs, each of so many bytes. */
  readonly mounts: { readonly paths: readonly string[]; readonly bytes: number } | null;
}

export type Excess = 'memory' | 'tasks' | 'tmp';

interface Watched {
  readonly pid: number;
  readonly bounds: TreeBounds;
  readonly onOver: (excess: Excess) => void;
  countAgainAt: number;
}

/** One watch for all workers of a server: idle while there is nobody to watch. */
export class TreeWatch {
  readonly #watched = new Set<Watched>();
  #isRunning = false;
  #isCounting = false;

  /** Calls `onOver` once, with the first bound that the tree under `pid` exceeds. The result stops the watch. */
  add(pid: number, bounds: TreeBounds, onOver: (excess: Excess) => void): () => void {
    const watched = { pid, bounds, onOver, countAgainAt: 0 };
    this.#watched.add(watched);
    if (!this.#isRunning) {
      this.#isRunning = true;
      // Never rejects: whatever cannot be read is looked at again.
      void this.#run();
    }
    return () => void this.#watched.delete(watched);
  }

  async #run(): Promise<void> {
    let seen = glance();
    for (let count = 1; this.#watched.size > 0; count += 1) {
      await delay(GLANCE_MS, undefined, { ref: false });
      const now = glance();
      const isSudden = now.tasks - seen.tasks > SUDDEN_TASKS || seen.freeBytes - now.freeBytes > SUDDEN_BYTES;
      const isDue = count % GLANCES_PER_LOOK === 0;
      if (!isSudden && !isDue) continue;
      seen = now;
      for (const watched of this.#watched) {
        this.#judge(watched, findInTree(watched));
        // A tree takes a millisecond; between two of them it is the requests' turn.
        await turn();
      }
      // Nobody's many files keep anybody's memory out of sight. Never rejects.
      if (isDue && !this.#isCounting) void this.#countAll();
    }
    this.#isRunning = false;
  }

  #judge(watched: Watched, excess: Excess | null): void {
    if (excess !== null && this.#watched.delete(watched)) watched.onOver(excess);
  }

  /** The more files a worker has, the less often they are counted: nobody makes the server count all the time. */
  async #countAll(): Promise<void> {
    this.#isCounting = true;
    for (const watched of this.#watched) {
      const startedAt = performance.now();
      if (startedAt < watched.countAgainAt) continue;
      // A folder that vanishes while it is counted is the worker's doing: it is counted again.
      this.#judge(watched, await findInFiles(watched).catch(() => null));
      watched.countAgainAt = startedAt + (performance.now() - startedAt) * COUNT_PAUSE;
    }
    this.#isCounting = false;
  }
}

/** Tasks and free memory of the whole machine. */
function glance(): { readonly tasks: number; readonly freeBytes: number } {
  const tasks = /\d+\/(\d+) /.exec(kernelText('/proc/loadavg'))?.[1] ?? 0;
  const free = /^MemAvailable:\s+(\d+)/m.exec(kernelText('/proc/meminfo'))?.[1] ?? 0;
  return { tasks: Number(tasks), freeBytes: Number(free) * KiB };
}

function findInTree({ pid, bounds }: Watched): Excess | null {
  if (bounds.memoryBytes === null && bounds.tasks === null) return null;
  const tree = measureTree(pid, bounds.tasks ?? Infinity);
  if (bounds.memoryBytes !== null && tree.bytes > bounds.memoryBytes) return 'memory';
  return bounds.tasks !== null && tree.tasks > bounds.tasks ? 'tasks' : null;
}

async function findInFiles({ pid, bounds }: Watched): Promise<Excess | null> {
  if (bounds.folder !== null && (await folderBytes(bounds.folder.path)) > bounds.folder.bytes) return 'tmp';
  if (bounds.mounts === null) return null;
  const { pids } = measureTree(pid);
  for (const path of bounds.mounts.paths) {
    const { files, bytes } = await mountUsage(pids, path);
    if (files > MAX_FILES || bytes > bounds.mounts.bytes) return 'tmp';
  }
  return null;
}

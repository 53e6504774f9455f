// What one worker holds of the machine while it lives: a uid, descriptors, a folder, whatever else must be given back.
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeAll, openBytes } from './memory-file.ts';
import { planReach } from './reach.ts';
import type { WorkerUids } from './worker-uids.ts';

/** Given back in reverse order. */
export class Holdings {
  readonly #undo: (() => void | Promise<void>)[] = [];

  onGiveBack(undo: () => void | Promise<void>): void {
    this.#undo.push(undo);
  }

  uid(pool: WorkerUids): number {
    const uid = pool.take();
    this.#undo.push(() => pool.give(uid));
    return uid;
  }

  /** A private folder; removing it follows no links that the worker left there. */
  folder(owner: number | undefined): string {
    const path = mkdtempSync(join(temporaryBase(), 'davy-worker-'));
    this.#undo.push(() => rmSync(path, { recursive: true, force: true, maxRetries: 3 }));
    if (owner !== undefined) chownSync(path, owner, owner);
    return path;
  }

  fds(contents: readonly (string | Uint8Array)[]): readonly number[] {
    return contents.map((content) => {
      const fd = openBytes(content);
      this.#undo.push(() => closeAll([fd]));
      return fd;
    });
  }

  async giveBack(): Promise<void> {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await undo();
  }
}

/** A worker's uid must be able to walk there: a TMPDIR that is closed, or inside a closed folder, would be of no use. */
function temporaryBase(): string {
  const bases = [tmpdir(), '/tmp', '/var/tmp'].filter((path) => existsSync(path));
  const isOpen = (path: string): boolean => {
    const { blocked, closed } = planReach([path]);
    return blocked.length + closed.length === 0;
  };
  return bases.find(isOpen) ?? '/tmp';
}

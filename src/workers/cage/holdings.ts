// What one worker holds of the machine while it lives: a uid, descriptors, a folder, whatever else must be given back.
import { constants, openSync } from 'node:fs';
import { closeAll, openBytes } from './memory-file.ts';
import { makeWorkerFolder, removeWorkerFolder } from './worker-folder.ts';
import type { WorkerUids } from './worker-uids.ts';

/** What a child finds behind a descriptor: bytes, or a folder that stays the same one whatever its name comes to mean. */
export type Content = string | Uint8Array | { readonly folder: string };

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

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

  folder(owner: number | undefined): string {
    const path = makeWorkerFolder(owner);
    this.#undo.push(() => removeWorkerFolder(path));
    return path;
  }

  fds(contents: readonly Content[]): readonly number[] {
    return contents.map((content) => {
      const isFolder = typeof content === 'object' && 'folder' in content;
      const fd = isFolder ? openSync(content.folder, FOLDER) : openBytes(content);
      this.#undo.push(() => closeAll([fd]));
      return fd;
    });
  }

  /** Whatever cannot be given back keeps nothing else: the rest is, and then the first error is thrown. */
  async giveBack(): Promise<void> {
    const failures: unknown[] = [];
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

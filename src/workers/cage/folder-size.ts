// How much a worker has put into its folders, where no quota of the kernel counts it.
import { lstatSync } from 'node:fs';
import { opendir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

/** More files than any library caches; counting further would make the watch itself the victim. */
export const MAX_FILES = 32_768;
const BLOCK_BYTES = 512;
/** Entries asked for at once, and files measured in one turn of the event loop: a millisecond. */
const READ_AHEAD = 512;
/** `statfs` of a tmpfs. */
const TMPFS = 0x01021994;

/**
 * Follows no links. Infinite when there are too many files to count (they are counted before they are measured), and when
 * one cannot be counted at all: its name is too long, or its folder closed. What vanishes meanwhile counts for nothing.
 */
export async function folderBytes(root: string): Promise<number> {
  const files: string[] = [];
  const folders = [root];
  for (const folder of folders) {
    try {
      for await (const entry of await opendir(folder, { bufferSize: READ_AHEAD })) {
        (entry.isDirectory() ? folders : files).push(join(folder, entry.name));
        if (files.length + folders.length > MAX_FILES) return Infinity;
      }
    } catch (error) {
      if (!isGone(error)) return Infinity;
    }
  }
  let bytes = 0;
  for (let at = 0; at < files.length; at += READ_AHEAD) {
    for (const path of files.slice(at, at + READ_AHEAD)) bytes += blocksOf(path) * BLOCK_BYTES;
    await setImmediate();
  }
  return bytes;
}

/** The file was just written, so this costs a fifth of what waiting for a thread would. */
function blocksOf(path: string): number {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0;
  } catch {
    return Infinity;
  }
}

const isGone = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

export interface Usage {
  readonly files: number;
  readonly bytes: number;
}

const NOTHING: Usage = { files: 0, bytes: 0 };

/**
 * What a tmpfs among the mounts of a process tree holds; nothing while all of it still has the mounts of the machine. A mount
 * point can be neither renamed nor replaced from inside, so its name leads nowhere else. The first process that tells is
 * asked, which is not one that the worker can end in the middle of the question.
 */
export async function mountUsage(pids: readonly number[], mount: string): Promise<Usage> {
  const outside = await stat(mount).catch(() => null);
  for (const pid of pids) {
    const inside = `/proc/${pid}/root${mount}`;
    try {
      if ((await stat(inside)).dev === outside?.dev) continue;
      const { type, files, ffree, blocks, bfree, bsize } = await statfs(inside);
      return type === TMPFS ? { files: files - ffree, bytes: (blocks - bfree) * bsize } : NOTHING;
    } catch {
      // Gone, or closed to us: the next one has the same mounts.
    }
  }
  return NOTHING;
}

// An open file as a source of bytes: one descriptor from the hash to the last extracted byte.
import { constants, readSync } from 'node:fs';
import { open, readlink, type FileHandle } from 'node:fs/promises';
import { refuse, type RandomAccess } from '../../archive/index.ts';

/** Reads by position, so that readers do not disturb one another. */
export function fileAccess(handle: FileHandle, size: number): RandomAccess {
  return {
    size,
    async read(offset, length) {
      const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    },
  };
}

/** The same through a descriptor, waiting for the disk: for threads that have nothing else to do. */
export function syncFileAccess(fd: number, size: number): RandomAccess {
  return {
    size,
    async read(offset, length) {
      const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
      let filled = 0;
      while (filled < bytes.length) {
        const bytesRead = readSync(fd, bytes, filled, bytes.length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    },
  };
}

/** Opens a regular file without following a link at its end and without waiting for a fifo's other end. */
export async function openRegular(path: string): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if ((await handle.stat()).isFile()) return handle;
    throw refuse('it is not a regular file');
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
}

/** Where the kernel says that an open file lies: the answer that no rename after the check can change. */
export async function openedPath(handle: FileHandle, path: string): Promise<string> {
  return await readlink(`/proc/self/fd/${handle.fd}`).catch(() => path);
}

/** What changes when a file is written to: compared before and after, it shows that nobody did meanwhile. */
export async function fingerprint(handle: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

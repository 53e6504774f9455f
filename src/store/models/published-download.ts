// A vetted download takes its place in the model store: in one step, and never over a file that is there.
import { randomBytes } from 'node:crypto';
import { chmod, copyFile, link, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Fault } from '../../kernel/index.ts';

/** Errors that mean "this store cannot be written"; the model is served all the same. */
const UNWRITABLE = new Set(['EROFS', 'EACCES', 'EPERM']);

/** True when `target` now is the downloaded file; false when the store is read-only. Throws `file_exists`. */
export async function publishDownload(downloaded: string, target: string): Promise<boolean> {
  await chmod(downloaded, 0o640);
  try {
    await linkAcross(downloaded, target);
    return true;
  } catch (thrown) {
    const code = errorCode(thrown);
    if (code === 'EEXIST')
      throw new Fault('file_exists', `Model file already exists ${basename(target)}`, { cause: thrown });
    if (UNWRITABLE.has(code)) return false;
    throw thrown;
  }
}

/** A hard link never replaces anything; across file systems a hidden copy is linked instead. */
async function linkAcross(from: string, target: string): Promise<void> {
  try {
    await link(from, target);
  } catch (thrown) {
    if (errorCode(thrown) !== 'EXDEV') throw thrown;
    const copy = join(dirname(target), `.${randomBytes(16).toString('hex')}.part`);
    try {
      await copyFile(from, copy);
      await link(copy, target);
    } finally {
      await rm(copy, { force: true });
    }
  }
}

export const errorCode = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';

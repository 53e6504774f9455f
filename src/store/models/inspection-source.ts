// Files of any place as an inspector wants them: opened once, or unpacked into a private place that goes away again.
import { lstat, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { memoryAccess, refuse, type ContainerLimits, type QuarantinedFile } from '../../archive/index.ts';
import { fileAccess, openRegular } from './open-file.ts';
import { removeTree } from './private-directory.ts';
import { Quarantine, type StoredFile } from './quarantine.ts';
import { unpackArchive } from './unpack.ts';

/** Read at once where they are opened: trees of models hold thousands of these, and every call to the system counts. */
const SMALL_BYTES = 64 * 1024;

/** A regular file, never a link. The descriptor is opened with each `open()` and closed with its disposal, if not before. */
export async function fileForInspection(path: string, name: string): Promise<QuarantinedFile> {
  const found = await lstat(path);
  if (!found.isFile()) throw refuse('it is not a regular file');
  const { size } = found;
  const open = async () => {
    const opened = await openRegular(path);
    const access = fileAccess(opened, size);
    if (size > SMALL_BYTES) return { ...access, [Symbol.asyncDispose]: () => opened.close() };
    try {
      return { ...memoryAccess(await access.read(0, size)), [Symbol.asyncDispose]: async () => {} };
    } finally {
      await opened.close();
    }
  };
  return { name, size, open };
}

export interface UnpackedArchive extends AsyncDisposable {
  readonly files: readonly StoredFile[];
}

/** By its `name` a `.mar`, `.war` or `.zip`, else a gzip tar, unpacked by the strict readers. Throws `archive_refused`. Disposing removes it. */
export async function unpackForInspection(
  path: string,
  limits: ContainerLimits,
  signal: AbortSignal,
  name = basename(path),
): Promise<UnpackedArchive> {
  await using handle = await openRegular(path);
  const archive = fileAccess(handle, (await handle.stat()).size);
  const dir = await mkdtemp(join(tmpdir(), 'davy-scan-'));
  try {
    const quarantine = await Quarantine.create(dir);
    const isZip = /\.(mar|war|zip)$/i.test(name);
    await unpackArchive(archive, isZip ? 'model.mar' : 'model.tar.gz', quarantine, limits, signal);
    return { files: quarantine.files, [Symbol.asyncDispose]: () => removeTree(dir) };
  } catch (thrown) {
    await removeTree(dir);
    throw thrown;
  }
}

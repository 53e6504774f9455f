// Files of any place as an inspector wants them: opened once, or unpacked into a private place that goes away again.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { ContainerLimits, QuarantinedFile } from '../../archive/index.ts';
import { fileAccess, openRegular } from './open-file.ts';
import { removeTree } from './private-directory.ts';
import { Quarantine, type StoredFile } from './quarantine.ts';
import { unpackArchive } from './unpack.ts';

/** A regular file, never a link. The descriptor is opened with each `open()` and closed with its disposal. */
export async function fileForInspection(path: string, name: string): Promise<QuarantinedFile> {
  await using handle = await openRegular(path);
  const { size } = await handle.stat();
  const open = async () => {
    const opened = await openRegular(path);
    return { ...fileAccess(opened, size), [Symbol.asyncDispose]: () => opened.close() };
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

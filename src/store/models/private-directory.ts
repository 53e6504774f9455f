// Directories that only this server may enter. A path that somebody else prepared is refused, not adopted.
import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, fileFailure } from '../../kernel/index.ts';

/** Makes `path` (parents included) with mode 0700, or checks that it is a real directory of ours. */
export async function privateDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw fileFailure(
      path,
      cause,
      'let this user write there, or choose another directory: state_dir=PATH in config.properties',
    );
  });
  const found = await lstat(path);
  const owner = process.geteuid?.() ?? found.uid;
  if (!found.isDirectory() || found.uid !== owner) {
    throw new Fault(
      'invalid_configuration',
      `${path} is not a directory that belongs to this user; choose another one: state_dir=PATH in config.properties.`,
    );
  }
  if ((found.mode & 0o077) !== 0) await chmod(path, 0o700);
}

/** Removes a tree of ours, read-only directories included. A tree that is not there is removed already. */
export async function removeTree(path: string): Promise<void> {
  await makeRemovable(path);
  await rm(path, { recursive: true, force: true });
}

async function makeRemovable(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null || !found.isDirectory()) return;
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeRemovable(join(path, entry.name));
  }
}

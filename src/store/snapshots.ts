// Snapshot files: written whole or not at all, readable by this user only, a bounded number of them.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SNAPSHOT_MARK, snapshotName, snapshotNames, type SnapshotKind } from '../config/index.ts';
import { privateDirectory } from './models/private-directory.ts';

/** Enough to look back over a day's changes; a server that is scaled every minute must not fill a disk. */
const KEPT_SNAPSHOTS = 20;

/**
 * Writes one snapshot into `dir` (made with mode 0700; a link or a directory of somebody else's is refused) and removes
 * the oldest ones that this product wrote. `render` gets the file's name and gives ISO-8859-1 text. Returns the name.
 * Calls for one directory must not overlap.
 */
export async function writeSnapshot(
  dir: string,
  kind: SnapshotKind,
  time: Date,
  render: (name: string) => string,
): Promise<string> {
  await privateDirectory(dir);
  const earlier = snapshotNames(await readdir(dir));
  const name = snapshotName(kind, time, earlier.at(-1));
  await writeWhole(join(dir, name), render(name));
  await prune(dir, earlier);
  return name;
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Under another name first, because a start takes the newest snapshot as it finds it. */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(9).toString('base64url')}.tmp`;
  try {
    await using file = await open(temporary, CREATE, 0o600);
    await file.writeFile(text, 'latin1');
    await file.sync();
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
}

async function prune(dir: string, earlier: readonly string[]): Promise<void> {
  for (const name of earlier.slice(0, -KEPT_SNAPSHOTS + 1)) {
    const path = join(dir, name);
    if (await isOurs(path)) await rm(path, { force: true });
  }
}

/** Snapshots of TorchServe stay: whoever goes back to it wants them. */
async function isOurs(path: string): Promise<boolean> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const head = Buffer.alloc(SNAPSHOT_MARK.length);
    await file.read(head, 0, head.length, 0);
    return head.toString('latin1') === SNAPSHOT_MARK;
  } catch {
    // Gone meanwhile, or not readable: nothing to remove.
    return false;
  }
}

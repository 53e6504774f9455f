// Unix socket files: taken over only from ourselves, open to nobody else.
import type { Stats } from 'node:fs';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { Fault } from '../kernel/index.ts';

/** Removes the socket a former run left behind. Throws Fault `invalid_configuration` for anything else at that path. */
export async function claimSocketPath(path: string): Promise<void> {
  let found: Stats;
  try {
    found = await lstat(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw refused(path, 'it cannot be looked at', cause);
  }
  if (!found.isSocket()) throw refused(path, 'something that is not a socket is in its place: move it away');
  if (found.uid !== process.getuid?.()) throw refused(path, 'it belongs to another user: choose another path');
  await unlink(path);
}

/** Owner and group: the group is how a proxy beside us is let in. */
export async function restrictSocket(path: string): Promise<void> {
  await chmod(path, 0o660);
}

function refused(path: string, reason: string, cause?: unknown): Fault {
  return new Fault('invalid_configuration', `The unix socket ${path} cannot be opened: ${reason}.`, { cause });
}

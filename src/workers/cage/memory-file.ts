// Hands bytes to a child as an open descriptor: a file that has no name any more.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Memory first: a worker that died must come back although the disk is full. */
const BASES = ['/dev/shm', tmpdir()];

/** The caller closes the descriptor. */
export function openBytes(content: string | Uint8Array, bases: readonly string[] = BASES): number {
  const [base = tmpdir(), ...others] = bases;
  try {
    return openIn(base, content);
  } catch (error) {
    // No such place, or no room in it.
    if (others.length === 0) throw error;
    return openBytes(content, others);
  }
}

function openIn(base: string, content: string | Uint8Array): number {
  const directory = mkdtempSync(join(base, 'davy-'));
  const path = join(directory, 'content');
  try {
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
    return openSync(path, 'r');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}

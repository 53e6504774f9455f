// Hands bytes to a child as an open descriptor: a file that has no name any more.
import { closeSync, mkdtempSync, openSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The caller closes the descriptor. */
export function openBytes(content: string | Uint8Array): number {
  const directory = mkdtempSync(join(tmpdir(), 'davy-'));
  const path = join(directory, 'content');
  try {
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
    return openSync(path, 'r');
  } finally {
    unlinkSync(path);
    rmdirSync(directory);
  }
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { closeAll, openBytes } from './memory-file.ts';

it('a memory file goes to the next place when one has no room, and has no name in either', () => {
  const place = mkdtempSync(join(tmpdir(), 'davy-memory-file-'));
  try {
    const fd = openBytes('content', [join(place, 'absent'), place]);
    assert.equal(readFileSync(fd, 'utf8'), 'content');
    closeAll([fd]);
    assert.deepEqual(readdirSync(place), []);
    assert.throws(() => openBytes('content', [join(place, 'absent')]), { code: 'ENOENT' });
  } finally {
    rmSync(place, { recursive: true });
  }
});

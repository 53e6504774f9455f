import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { folderBytes, mountUsage } from './folder-size.ts';

describe('the size of a folder', () => {
  const dir = mkdtempSync(join(tmpdir(), 'davy-size-'));
  after(() => rmSync(dir, { recursive: true }));

  test('counts what lies in it and below, and follows no link', async () => {
    mkdirSync(join(dir, 'below'));
    writeFileSync(join(dir, 'here'), Buffer.alloc(100_000, 1));
    writeFileSync(join(dir, 'below', 'there'), Buffer.alloc(200_000, 1));
    symlinkSync('/usr', join(dir, 'elsewhere'));
    const bytes = await folderBytes(dir);
    assert.ok(bytes >= 300_000 && bytes < 600_000, String(bytes));
  });

  test('is asked of another process only where that one has mounts of its own', async () => {
    assert.deepEqual(await mountUsage([process.pid, 0x7fffffff], '/tmp'), { files: 0, bytes: 0 });
  });
});

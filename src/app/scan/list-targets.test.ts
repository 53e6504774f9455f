import assert from 'node:assert/strict';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { listTargets } from './list-targets.ts';

test('a link is followed inside the scanned folders, the root of all included, and read where it led when it was seen', async () => {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'davy-targets-')));
  try {
    for (const name of ['a', 'b']) await mkdir(join(dir, name));
    await writeFile(join(dir, 'b', 'm.pt'), 'x');
    await symlink(join(dir, 'b', 'm.pt'), join(dir, 'a', 'link.pt'));
    for (const root of ['/', dir, join(dir, 'b')]) {
      const [found] = await listTargets(join(dir, 'a'), [root]);
      assert.deepEqual([found?.real, found?.obstacle], [join(dir, 'b', 'm.pt'), undefined], root);
    }
    const [outside] = await listTargets(join(dir, 'a'));
    assert.equal(outside?.obstacle?.code, 'entry_not_scanned');
  } finally {
    await rm(dir, { recursive: true });
  }
});

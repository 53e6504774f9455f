import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { folderBytes } from './folder-size.ts';
import { makeWorkerFolder, removeWorkerFolder, sweepWorkerFolders } from './worker-folder.ts';

/** Beyond what any kernel counts to. */
const NOBODY = 2 ** 30;

describe('the temporary folder of a worker', () => {
  test('is removed although parts of it are closed to everybody', async () => {
    const folder = makeWorkerFolder(undefined);
    for (const [name, mode] of Object.entries({ writeOnly: 0o300, closed: 0o000 })) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'content'), 'x');
      chmodSync(join(folder, name), mode);
    }
    // Root sees through modes; anybody else is told that it cannot be counted.
    if (process.getuid?.() !== 0) assert.equal(await folderBytes(folder), Infinity);
    await removeWorkerFolder(folder);
    assert.equal(existsSync(folder), false);
  });

  test('is removed by the next server where its own was killed, and left where that still runs', async () => {
    const [own, strange] = [makeWorkerFolder(undefined), makeWorkerFolder(undefined)];
    const orphan = strange.replace(`-${process.pid}-`, `-${NOBODY}-`);
    renameSync(strange, orphan);
    writeFileSync(join(orphan, 'left'), 'behind');
    await sweepWorkerFolders(() => false);
    assert.deepEqual([existsSync(own), existsSync(orphan)], [true, false]);
    await removeWorkerFolder(own);
  });

  test('is only swept where a server made it: a link of such a name leads nobody anywhere', async () => {
    const [mine, link] = [
      makeWorkerFolder(undefined),
      makeWorkerFolder(undefined).replace(`-${process.pid}-`, `-${NOBODY}-`),
    ];
    const closed = join(mine, 'closed');
    writeFileSync(closed, 'x', { mode: 0o400 });
    symlinkSync(mine, link);
    await sweepWorkerFolders(() => true);
    assert.equal(statSync(closed).mode & 0o777, 0o400);
    unlinkSync(link);
    await removeWorkerFolder(mine);
    await removeWorkerFolder(link.replace(`-${NOBODY}-`, `-${process.pid}-`));
  });

  test('may be removed twice', async () => {
    const folder = makeWorkerFolder(undefined);
    await removeWorkerFolder(folder);
    await removeWorkerFolder(folder);
    assert.equal(existsSync(folder), false);
  });
});

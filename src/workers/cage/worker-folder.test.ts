import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { folderBytes } from './folder-size.ts';
import { makeWorkerFolder, removeWorkerFolder } from './worker-folder.ts';

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

  test('may be removed twice', async () => {
    const folder = makeWorkerFolder(undefined);
    await removeWorkerFolder(folder);
    await removeWorkerFolder(folder);
    assert.equal(existsSync(folder), false);
  });
});

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SNAPSHOT_MARK } from '../config/index.ts';
import { Fault } from '../kernel/index.ts';
import { writeSnapshot } from './snapshots.ts';

const noon = new Date(2026, 0, 2, 12);
const text = (name: string): string => `${SNAPSHOT_MARK}\n# ${name} é\n`;

async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'davy-snapshots-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test('a snapshot is one whole file of this user’s own, newer than any other', async () => {
  await using dir = await folder();
  const config = join(dir.path, 'logs', 'config');
  const names = [
    await writeSnapshot(config, 'startup', noon, text),
    await writeSnapshot(config, 'snapshot', noon, text),
    await writeSnapshot(config, 'shutdown', new Date(2025, 0, 1), text),
  ];
  assert.deepEqual(names, [
    '20260102120000000-startup.cfg',
    '20260102120000001-snapshot.cfg',
    '20260102120000002-shutdown.cfg',
  ]);
  assert.deepEqual((await readdir(config)).toSorted(), names);
  const path = join(config, names[0] ?? '');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await stat(config)).mode & 0o777, 0o700);
  assert.equal(await readFile(path, 'latin1'), text(names[0] ?? ''));
});

test('twenty of ours are kept, and every one of TorchServe’s', async () => {
  await using dir = await folder();
  const theirs = '20240101000000000-startup.cfg';
  await writeFile(join(dir.path, theirs), '#Saving snapshot\n');
  for (let count = 0; count < 25; count += 1) await writeSnapshot(dir.path, 'snapshot', noon, text);
  const names = (await readdir(dir.path)).toSorted();
  assert.equal(names[0], theirs);
  assert.equal(names.length, 20 + 1);
  assert.equal(names.at(-1), '20260102120000024-snapshot.cfg');
});

test('nothing is written through a link, and nothing is left behind when writing fails', async () => {
  await using dir = await folder();
  const elsewhere = join(dir.path, 'elsewhere');
  await mkdir(elsewhere);
  await symlink(elsewhere, join(dir.path, 'link'));
  await assert.rejects(
    writeSnapshot(join(dir.path, 'link'), 'startup', noon, text),
    (thrown) => thrown instanceof Fault && thrown.code === 'invalid_configuration',
  );
  const inTheWay = join(elsewhere, '20260102120000000-startup.cfg');
  await mkdir(inTheWay);
  await writeFile(join(inTheWay, 'x'), '');
  assert.equal(await writeSnapshot(elsewhere, 'startup', noon, text), '20260102120000001-startup.cfg');
  await assert.rejects(
    writeSnapshot(elsewhere, 'startup', noon, () => {
      throw new Error('no text');
    }),
  );
  assert.equal((await readdir(elsewhere)).length, 2);
});

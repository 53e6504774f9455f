import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '../kernel/index.ts';
import { claimStateDirectory } from './state-directory.ts';

async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'davy-state-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const refused = (thrown: unknown): boolean => thrown instanceof Fault && thrown.code === 'invalid_configuration';

test('a state directory belongs to one server at a time, and to nobody afterwards', async () => {
  await using dir = await folder();
  const state = join(dir.path, 'state');
  const claim = await claimStateDirectory(state);
  await assert.rejects(claimStateDirectory(state), refused);
  await claim[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(state), []);
  await (await claimStateDirectory(state))[Symbol.asyncDispose]();
});

test('the lock of a process that is gone, or of one whose number was given out again, does not count', async () => {
  await using dir = await folder();
  const noSuchProcess = 2 ** 22 + 1;
  for (const stale of [
    JSON.stringify({ pid: noSuchProcess, startedAt: '1' }),
    JSON.stringify({ pid: process.pid, startedAt: '1' }),
    'no lock',
    '',
  ]) {
    await writeFile(join(dir.path, 'lock'), stale);
    await using _claim = await claimStateDirectory(dir.path);
    await assert.rejects(claimStateDirectory(dir.path), refused);
  }
});

test('of many starts over a dead server’s lock exactly one succeeds', async () => {
  await using dir = await folder();
  for (let round = 0; round < 10; round += 1) {
    await writeFile(join(dir.path, 'lock'), 'stale');
    const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => claimStateDirectory(dir.path)));
    const claims = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    assert.equal(claims.length, 1);
    await claims[0]?.value[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(dir.path), []);
  }
});

test('a state directory that cannot be made is refused with the key that names another', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'davy-state-'));
  try {
    await writeFile(join(dir, 'file'), '');
    await assert.rejects(
      claimStateDirectory(join(dir, 'file', 'state')),
      (thrown) =>
        thrown instanceof Fault && thrown.code === 'invalid_configuration' && /state_dir=/.test(thrown.message),
    );
  } finally {
    await rm(dir, { recursive: true });
  }
});

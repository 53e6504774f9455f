import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Fault } from '../../kernel/index.ts';
import { RegisteredVersions, type RegisteredVersion } from './registered-versions.ts';

const record = (digest: string, name = 'm', version = '1.0'): RegisteredVersion => ({
  name,
  version,
  digest: digest.repeat(64),
  registeredAt: '2026-01-01T00:00:00.000Z',
});

describe('the record of registered versions', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-registered-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test('outlives the server that wrote it', async () => {
    await RegisteredVersions.at(dir).keep(record('a'), false);
    assert.deepEqual(await RegisteredVersions.at(dir).find('m', '1.0'), record('a'));
    assert.equal(await RegisteredVersions.at(dir).find('m', '1.1'), undefined);
  });

  test('keeps the first of many that come at once, and tells all of them which', async () => {
    const registered = RegisteredVersions.at(dir);
    const kept = await Promise.all([...'abcdef'].map((digest) => registered.keep(record(digest), false)));
    assert.equal(new Set(kept).size, 1);
    assert.equal((await registered.find('m', '1.0'))?.digest, kept[0]);
    assert.equal(readdirSync(join(dir, 'registered')).length, 1);
  });

  test('is replaced where versions may change, and gone once it is forgotten', async () => {
    const registered = RegisteredVersions.at(dir);
    await registered.keep(record('a'), true);
    assert.equal(await registered.keep(record('b'), true), 'b'.repeat(64));
    assert.deepEqual(await registered.list(), [record('b')]);
    assert.equal(await registered.forget('m', '1.0'), true);
    assert.equal(await registered.forget('m', '1.0'), false);
    assert.equal(await registered.find('m', '1.0'), undefined);
  });

  test('takes no name for a path, and belongs to the server alone', async () => {
    const registered = RegisteredVersions.at(dir);
    await registered.keep(record('a', '../../x', '/etc'), false);
    await registered.keep(record('b', 'm', '1.0/../x'), false);
    assert.equal((await registered.list()).length, 2);
    assert.deepEqual(readdirSync(dir), ['registered']);
    assert.equal(statSync(join(dir, 'registered')).mode & 0o777, 0o700);
  });

  test('that was damaged refuses the registration: it is not taken for none', async () => {
    const registered = RegisteredVersions.at(dir);
    await registered.keep(record('a'), false);
    const [file] = readdirSync(join(dir, 'registered'));
    writeFileSync(join(dir, 'registered', file!), '{"digest":');
    await assert.rejects(
      registered.find('m', '1.0'),
      (thrown) => thrown instanceof Fault && thrown.code === 'internal',
    );
  });
});

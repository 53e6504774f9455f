import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Fault } from '../kernel/index.ts';
import { lookUpConfig, newestSnapshot, requireTrustedFile } from './lookup.ts';

const nothing = {
  env: undefined,
  flag: undefined,
  snapshotNames: [],
  usesSnapshots: true,
  hasWorkingDirectoryFile: false,
};
const older = '20260101000000000-startup.cfg';
const newer = '20260102000000000-snapshot.cfg';

describe('lookUpConfig', () => {
  test('TS_CONFIG_FILE wins over the flag, the flag over anything found', () => {
    assert.deepEqual(lookUpConfig({ ...nothing, env: 'e', flag: 'f' }), { kind: 'named', path: 'e' });
    assert.deepEqual(lookUpConfig({ ...nothing, flag: 'f', snapshotNames: [newer] }), { kind: 'named', path: 'f' });
  });

  test('the newest snapshot counts unless snapshots are off', () => {
    const found = { ...nothing, snapshotNames: [newer, older, 'zzz.cfg'], hasWorkingDirectoryFile: true };
    assert.deepEqual(lookUpConfig(found), { kind: 'found', snapshotName: newer, hasWorkingDirectoryFile: true });
    assert.deepEqual(lookUpConfig({ ...found, usesSnapshots: false }), {
      kind: 'found',
      snapshotName: undefined,
      hasWorkingDirectoryFile: true,
    });
  });

  test('only names that TorchServe writes are snapshots', () => {
    assert.equal(newestSnapshot(['2026-startup.cfg', `${older}.bak`, `x${older}`]), undefined);
  });
});

describe('a configuration file found by accident', () => {
  const file = { uid: 1000, gid: 1000, mode: 0o100644 };

  test('counts when it is ours or root’s and nobody else can write it', () => {
    requireTrustedFile('c', file, 1000);
    requireTrustedFile('c', { ...file, uid: 0, gid: 0 }, 1000);
    requireTrustedFile('c', { ...file, mode: 0o100664 }, 1000);
  });

  test('is refused when others own it or can write it', () => {
    for (const bad of [
      { ...file, uid: 1001 },
      { ...file, mode: 0o100646 },
      { ...file, gid: 50, mode: 0o100664 },
    ]) {
      assert.throws(() => requireTrustedFile('c', bad, 1000), Fault);
    }
  });
});

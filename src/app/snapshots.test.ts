import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Announcements } from '../serving/index.ts';
import { Snapshots } from './snapshots.ts';

async function setUp(dir: string) {
  const clock = new ManualClock();
  const announcements = new Announcements();
  const notices: string[] = [];
  announcements.notice.subscribe(({ message }) => void notices.push(message));
  const settings = {
    log: { dir, metricsDir: dir, format: 'text', configFile: undefined } as const,
    effective: () => [],
  };
  const control = { records: [], isDefault: () => false };
  const snapshots = new Snapshots({ settings, control, announcements, clock });
  const change = (): void => announcements.model.publish({ model: 'm', version: '1.0', change: 'scaled' });
  const kinds = async (): Promise<readonly string[]> =>
    (await readdir(join(dir, 'config'))).toSorted().map((name) => name.replace(/^\d+-/, ''));
  return { clock, notices, snapshots, change, kinds };
}

test('a burst of changes is one snapshot, and a stop writes the last one once', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'davy-snapshots-'));
  try {
    const { clock, snapshots, change, kinds, notices } = await setUp(dir);
    await snapshots.start();
    for (let count = 0; count < 50; count += 1) change();
    clock.advance(1000);
    change();
    await snapshots.stop();
    clock.advance(1000);
    change();
    assert.deepEqual(await kinds(), ['startup.cfg', 'snapshot.cfg', 'shutdown.cfg']);
    const newest = (await readdir(join(dir, 'config'))).toSorted().at(-1) ?? '';
    assert.match(await readFile(join(dir, 'config', newest), 'latin1'), /^model_snapshot=\{"name":"\d{17}-shutdown/m);
    assert.deepEqual(notices, []);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a start that failed leaves no shutdown snapshot, and a disk that refuses only makes a notice', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'davy-snapshots-'));
  try {
    const { snapshots, notices } = await setUp(dir);
    await snapshots.stop();
    assert.deepEqual(await readdir(dir), []);
    await writeFile(join(dir, 'config'), 'a file where the directory should be');
    await snapshots.start();
    assert.equal(notices.length, 1);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

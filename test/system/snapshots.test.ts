// Snapshots over two lives of the real server, and two servers that want one state directory.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { startRealServer } from '../support/real-server.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'davy');

describe('a server that is started again in its directory', () => {
  let store: TestStore;
  let dir = '';
  before(() => {
    store = makeModelStore();
    store.add('a', NOOP);
    store.add('b', NOOP);
    dir = mkdtempSync(join(tmpdir(), 'davy-lives-'));
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const snapshots = (): readonly string[] => readdirSync(join(dir, 'logs', 'config')).toSorted();
  const newest = (): string => readFileSync(join(dir, 'logs', 'config', snapshots().at(-1) ?? ''), 'latin1');
  const untilSnapshot = async (pattern: RegExp): Promise<void> => {
    await eventually(`the newest snapshot matches ${pattern}`, () => pattern.test(newest()));
  };

  it('serves what the former life served, and never takes a security key from it', async () => {
    const config = ['job_queue_size=33', 'enable_model_api=true', 'keystore_pass=hunter2'];
    const first = await startRealServer({ modelStore: store.dir, models: ['a'], config, dir });
    assert.match(snapshots().at(-1) ?? '', /^\d{17}-startup\.cfg$/);
    assert.equal((await first.manage('POST', '/models?url=b&initial_workers=0&batch_size=4')).status, 200);
    await untilSnapshot(
      /"b":\{"1.0":\{"defaultVersion":true,"marName":"b","minWorkers":0,"maxWorkers":0,"batchSize":4/,
    );
    assert.equal((await first.manage('PUT', '/models/a?min_worker=0&synchronous=true')).status, 200);
    await untilSnapshot(/"a":\{"1.0":\{"defaultVersion":true,"marName":"a","minWorkers":0/);
    assert.equal(await first.stop(), 0);
    assert.match(snapshots().at(-1) ?? '', /-shutdown\.cfg$/);
    assert.match(newest(), /^job_queue_size=33$/m);
    assert.doesNotMatch(newest(), /enable_model_api|hunter2|_address|model_store|state_dir|isolation/);

    await using second = await startRealServer({ modelStore: store.dir, models: ['a'], dir });
    const listed = (await (await second.manage('GET', '/models')).json()) as { models: { modelName: string }[] };
    assert.deepEqual(
      listed.models.map(({ modelName }) => modelName),
      ['a', 'b'],
    );
    const [b] = (await (await second.manage('GET', '/models/b')).json()) as { batchSize: number; minWorkers: number }[];
    assert.deepEqual([b?.batchSize, b?.minWorkers], [4, 0]);
    const [a] = (await (await second.manage('GET', '/models/a')).json()) as { workers: unknown[] }[];
    assert.equal(a?.workers.length, 0);
    // The first life's config.properties allowed this; a snapshot cannot.
    assert.equal((await second.manage('DELETE', '/models/b')).status, 405);
    assert.match(second.output(), /--models is ignored/);

    const { status, stdout } = spawnSync(
      process.execPath,
      [BIN, 'serve', '--model-store', store.dir, '--pid-file', join(dir, 'pid2')],
      { cwd: dir, encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir } },
    );
    assert.equal(status, 1);
    assert.match(
      stdout,
      new RegExp(`^Invalid configuration: The state directory .* \\(pid ${second.process.pid}\\)`, 'm'),
    );
    const other = spawnSync(
      process.execPath,
      [BIN, 'serve', '--model-store', store.dir, '--pid-file', join(dir, 'pid2'), '--set', `state_dir=${dir}/other`],
      { cwd: dir, encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir } },
    );
    assert.equal(other.status, 1);
    assert.match(other.stdout, /^Invalid configuration: .*key_file\.json belongs to another running server/m);
    // They were refused before they could take the first one's keys away.
    assert.equal((await second.manage('GET', '/models')).status, 200);
  });

  it('does not start when an archive of its snapshot is gone', () => {
    const snapshot = { models: { gone: { '2.0': { marName: 'gone.mar', minWorkers: 1, maxWorkers: 1 } } } };
    writeFileSync(join(dir, 'gone.properties'), `model_snapshot=${JSON.stringify(snapshot)}\nisolation=none\n`);
    const { status, stdout } = spawnSync(
      process.execPath,
      [BIN, 'serve', '--config', 'gone.properties', '--model-store', store.dir, '--pid-file', join(dir, 'pid3')],
      { cwd: dir, encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir } },
    );
    assert.equal(status, 1);
    assert.match(stdout, /Model archive file for model :gone, version :2\.0 not found in model store/);
  });
});

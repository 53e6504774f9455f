// A real clamd with signatures of our own, started and ended by this test, in front of the real model store.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { ScannerSettings } from '../../src/config/index.ts';
import { Fault } from '../../src/kernel/index.ts';
import { createModelStore, createScanners, greetScanners } from '../../src/store/index.ts';
import { buildZip } from '../attack/archives.ts';
import { freePorts } from '../support/real-server.ts';

const MARK = 'DAVY-TEST-SIGNATURE-0001';
const STREAM_LIMIT = 4 * 1024 * 1024;
const CLAMD = ['/usr/sbin/clamd', '/usr/bin/clamd', '/usr/local/sbin/clamd'].find(
  (path) => spawnSync(path, ['--version']).status === 0,
);
const skip = CLAMD === undefined ? 'clamd is not installed: THE CLAMD SCANNER IS TESTED AGAINST A FAKE ONLY' : false;
const { signal } = new AbortController();

describe('clamd', { skip }, () => {
  let root = '';
  let port = 0;
  let daemon: ChildProcess | undefined;

  before(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), 'davy-clam-')));
    [port] = (await freePorts(1)) as [number];
    await mkdir(join(root, 'db'));
    await mkdir(join(root, 'tmp'));
    await writeFile(join(root, 'db', 'local.ndb'), `Davy.Test.Body:0:*:${Buffer.from(MARK).toString('hex')}\n`);
    const config = [
      'Foreground yes',
      `LocalSocket ${join(root, 'socket')}`,
      `TCPSocket ${port}`,
      'TCPAddr 127.0.0.1',
      `DatabaseDirectory ${join(root, 'db')}`,
      `TemporaryDirectory ${join(root, 'tmp')}`,
      `StreamMaxLength ${STREAM_LIMIT}`,
      'MaxThreads 4',
      'User root',
    ].filter((line) => line !== 'User root' || process.getuid?.() === 0);
    await writeFile(join(root, 'clamd.conf'), `${config.join('\n')}\n`);
    await chmod(root, 0o755);
    daemon = spawn(CLAMD as string, ['-c', join(root, 'clamd.conf')], { stdio: 'ignore' });
    await answering(join(root, 'socket'));
  });
  after(async () => {
    if (daemon?.kill('SIGKILL') === true) await once(daemon, 'exit');
    await rm(root, { recursive: true, force: true });
  });

  const settings = (address: object): readonly ScannerSettings[] => [
    {
      kind: 'clamd',
      name: 'clamd',
      isRequired: true,
      timeoutMs: 20_000,
      only: undefined,
      skip: ['big'],
      allowsUnknown: false,
      maxBytes: 2 ** 30,
      address,
    } as ScannerSettings,
  ];

  test('says its version and the age of its signatures at the start of a server', async () => {
    const [found] = await greetScanners(settings({ path: join(root, 'socket') }));
    assert.match(found?.says ?? '', /^ClamAV \d/);
    const [gone] = await greetScanners(settings({ path: join(root, 'gone') }));
    assert.deepEqual([gone?.says, gone?.why], [null, 'ENOENT']);
  });

  test('lets clean models in and keeps marked ones out, over its socket and over TCP', async () => {
    for (const address of [{ path: join(root, 'socket') }, { host: '127.0.0.1', port }]) {
      const models = await mkdtemp(join(root, 'models-'));
      const state = await mkdtemp(join(root, 'state-'));
      const scan = createScanners(settings(address));
      const store = await createModelStore({
        modelStores: [models],
        stateDir: state,
        allowedUrls: [],
        inspect: async (files, abort) => {
          const { findings } = await scan(files, abort);
          return { isAllowed: findings.length === 0, findings };
        },
      });
      const archive = (data: string | Buffer) =>
        buildZip([
          { name: 'h.py', data: 'x = 1' },
          { name: 'w.bin', data, method: 0 },
        ]);
      await writeFile(join(models, 'clean.mar'), archive('harmless'));
      await writeFile(join(models, 'marked.mar'), archive(`before ${MARK} after`));
      await writeFile(join(models, 'late.mar'), archive(Buffer.concat([Buffer.alloc(1_000_000), Buffer.from(MARK)])));
      await writeFile(join(models, 'large.mar'), archive(Buffer.alloc(STREAM_LIMIT + 1)));
      const clean = await store.admit('clean.mar', signal);
      await store.release(clean);
      const refused = (what: RegExp) => (thrown: unknown) =>
        thrown instanceof Fault && thrown.code === 'archive_refused' && what.test(thrown.message);
      for (const name of ['marked.mar', 'late.mar'])
        await assert.rejects(store.admit(name, signal), refused(/scanner_detected: clamd: Davy\.Test\.Body/), name);
      await assert.rejects(store.admit('large.mar', signal), refused(/scanner_unanswered: clamd/));
      assert.deepEqual(await readdir(join(state, 'models')), []);
      assert.deepEqual(await readdir(join(state, 'incoming')), []);
    }
  });
});

async function answering(path: string): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    const socket = connect(path);
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return;
    await delay(100);
  }
  throw new Error('clamd did not start');
}

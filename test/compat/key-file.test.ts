// The life of key_file.json (surface spec 6.1, 6.6): how a server makes it, guards it and takes it away.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe } from 'node:test';
import { exchange } from '../support/http-exchange.ts';
import { keyFileIn, keysIn } from '../support/key-file.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { startRealServer, type RealServer } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const HOUR_MS = 3_600_000;

describe('the key file at the start and at the stop', () => {
  let store: TestStore;
  let dir = '';
  before(() => {
    store = makeModelStore();
    store.add('noop', NOOP);
    dir = mkdtempSync(join(tmpdir(), 'davy-keys-'));
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const start = (config: readonly string[] = []): Promise<RealServer> =>
    startRealServer({ modelStore: store.dir, dir, config, flags: ['--ncs'] });

  behaviour(
    '6.1',
    'same',
    'an old key file is overwritten, whatever its mode; an expiration that is no number is told and means 60 minutes',
    async () => {
      writeFileSync(keyFileIn(dir), 'old', { mode: 0o644 });
      await using server = await start(['token_expiration_min=soon']);
      assert.equal(statSync(keyFileIn(dir)).mode & 0o777, 0o600);
      const left = Date.parse(keysIn(dir).inference['expiration time']) - Date.now();
      assert.ok(left > HOUR_MS - 300_000 && left <= HOUR_MS);
      assert.match(server.output(), /Token expiration not a valid integer/);
      const first = keysIn(dir);
      assert.equal(await server.stop(), 0);
      assert.equal(existsSync(keyFileIn(dir)), false);

      await using again = await start();
      assert.notDeepEqual(keysIn(dir).API, first.API);
      again.process.kill('SIGKILL');
      await again.stop();
      assert.ok(existsSync(keyFileIn(dir)), 'a server that is killed leaves its keys');
      rmSync(keyFileIn(dir));
    },
  );

  behaviour('6.6', 'same', 'torchserve --stop removes the key file of the directory that it runs in', async () => {
    const folder = mkdtempSync(join(dir, 'stop-'));
    writeFileSync(keyFileIn(folder), '{}');
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder, TMPDIR: folder };
    const command = join(import.meta.dirname, '..', '..', 'bin', 'torchserve');
    const stopping = spawn(process.execPath, [command, '--stop'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    assert.equal(await text(stopping.stdout), 'TorchServe is not currently running.\n');
    assert.equal(existsSync(keyFileIn(folder)), false);
  });

  behaviour(
    '6.1',
    'same',
    'a key file that cannot be made ends the start: Token Authorization setup unsuccessful',
    async () => {
      mkdirSync(keyFileIn(dir));
      await assert.rejects(start(), /Token Authorization setup unsuccessful/);
      rmSync(keyFileIn(dir), { recursive: true });
    },
  );

  behaviour(
    '6.1',
    'stricter',
    'a link in its place, or a file of another user, is neither followed nor replaced: the start ends',
    async () => {
      const victim = join(dir, 'victim');
      writeFileSync(victim, 'precious');
      symlinkSync(victim, keyFileIn(dir));
      await assert.rejects(start(), /Token Authorization setup unsuccessful: .*symbolic link/);
      assert.equal(readFileSync(victim, 'utf8'), 'precious');
      rmSync(keyFileIn(dir));
      // Only root can give a file away.
      if (process.getuid?.() !== 0) return;
      writeFileSync(keyFileIn(dir), 'theirs');
      chownSync(keyFileIn(dir), 12_345, 12_345);
      await assert.rejects(start(), /Token Authorization setup unsuccessful: .*belongs to another user/);
      assert.equal(readFileSync(keyFileIn(dir), 'utf8'), 'theirs');
      rmSync(keyFileIn(dir));
    },
  );

  describe('while a server runs', () => {
    let server: RealServer;
    before(async () => {
      server = await start();
    });
    after(() => server?.stop());

    behaviour('6.9', 'same', 'the model API is off unless something switches it on', async () => {
      const headers = { authorization: `Bearer ${server.key('management')}` };
      for (const [method, path] of [
        ['POST', '/models?url=noop'],
        ['DELETE', '/models/noop'],
      ] as const) {
        assert.equal((await exchange(server.management + path, { method, headers })).status, 405);
      }
    });

    behaviour(
      '6.1',
      'stricter',
      'a second server in the same directory does not start: it would replace the keys of the first',
      async () => {
        const keys = keysIn(dir);
        await assert.rejects(start([`state_dir=${join(dir, 'other')}`]), /key_file\.json belongs to/);
        assert.deepEqual(keysIn(dir), keys);
        const headers = { authorization: `Bearer ${server.key('management')}` };
        assert.equal((await exchange(`${server.management}/models`, { headers })).status, 200);
      },
    );

    behaviour(
      '6.6',
      'same',
      'the stop takes the key file away, but no file that somebody put in its place',
      async () => {
        writeFileSync(keyFileIn(dir), 'mine');
        assert.equal(await server.stop(), 0);
        assert.equal(readFileSync(keyFileIn(dir), 'utf8'), 'mine');
        rmSync(keyFileIn(dir));
      },
    );
  });
});

// Signals in every phase of a server's life, and what they leave behind.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeModelStore, NOOP, type TestStore } from '../../support/model-store.ts';
import { eventually } from '../../support/eventually.ts';
import { descendantsOf, isAlive } from '../../support/process-tree.ts';
import { startRealServer, type RealServer } from '../../support/real-server.ts';

const SPIN = `
def handle(data, context):
    while data is not None:
        pass
`;
const NEVER_LOADED = `
import time
time.sleep(1000)
`;

describe('a signal to the real server', () => {
  let store: TestStore;
  before(() => {
    store = makeModelStore();
    store.add('noop', NOOP);
    store.add('spin', SPIN);
    store.add('never', NEVER_LOADED);
  });
  after(() => store[Symbol.dispose]());

  const start = (models: readonly string[]): Promise<RealServer> => startRealServer({ modelStore: store.dir, models });
  const untilGone = async (pids: readonly number[]): Promise<void> => {
    await eventually('they all end', () => !pids.some(isAlive));
  };

  const untilReady = async (server: RealServer): Promise<void> => {
    const shown = async (): Promise<string> => (await server.manage('GET', '/models/spin')).text();
    await eventually('the worker is ready', async () => (await shown()).includes('READY'));
  };

  it('that cannot be caught leaves no worker, whether it loads or spins', async () => {
    const server = await start(['spin', 'never']);
    await untilReady(server);
    const cut = server.predict('spin', 'x').catch(() => 'cut');
    await sleep(100);
    const workers = descendantsOf(server.process.pid!);
    assert.ok(workers.length >= 2);
    server.process.kill('SIGKILL');
    await untilGone(workers);
    assert.equal(await cut, 'cut');
    await server.stop();
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    it(`(${signal}) while a model loads ends it in order, and its keys with it`, async () => {
      const server = await start(['never']);
      const workers = descendantsOf(server.process.pid!);
      const exited = once(server.process, 'exit');
      server.process.kill(signal);
      assert.deepEqual(await exited, [0, null]);
      for (const name of ['key_file.json', 'key_file.json.lock', 'state/lock', 'pid']) {
        assert.equal(existsSync(join(server.dir, name)), false, name);
      }
      await untilGone(workers);
      await server.stop();
    });
  }

  it('sent twice ends it at once, with its workers', async () => {
    const server = await start(['spin']);
    await untilReady(server);
    const workers = descendantsOf(server.process.pid!);
    const exited = once(server.process, 'exit');
    const cut = server.predict('spin', 'x').catch(() => 'cut');
    await sleep(100);
    server.process.kill('SIGTERM');
    await sleep(200);
    server.process.kill('SIGINT');
    assert.deepEqual(await exited, [1, null]);
    await untilGone(workers);
    await cut;
    await server.stop();
  });

  it('of the debugger opens no debugger', async () => {
    const server = await start(['noop']);
    server.process.kill('SIGUSR1');
    await sleep(300);
    assert.doesNotMatch(server.output(), /Debugger listening/);
    assert.equal((await fetch(`${server.inference}/ping`)).status, 200);
    assert.equal(await server.stop(), 0);
  });
});

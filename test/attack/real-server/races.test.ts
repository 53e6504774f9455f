// Many clients that register, scale, describe and unregister the same models at once, and cancel what they asked for.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NOOP, SLOW_ECHO } from '../../support/model-store.ts';
import { eventually } from '../../support/eventually.ts';
import { descendantsOf, isAlive } from '../../support/process-tree.ts';
import { describeSiege, openFiles } from './siege.ts';

const SLOW_TO_LOAD = `
import time
time.sleep(1.5)
def handle(data, context):
    return None if data is None else ["OK"] * len(data)
`;
const HANGING = `
import time
def handle(data, context):
    if data is not None:
        time.sleep(600)
`;
const CLIENTS = 20;

describeSiege(
  'races over the management of the real server',
  (store) => {
    store.add('canary', NOOP);
    store.add('noop', NOOP);
    store.add('noop2', NOOP, { model: { modelName: 'noop', modelVersion: '2.0' } });
    store.add('slow', SLOW_ECHO);
    store.add('loading', SLOW_TO_LOAD);
    store.add('hanging', HANGING, { config: 'responseTimeout: 2\n' });
    store.add('broken', 'raise Exception("never")');
  },
  { models: ['canary', 'hanging'], canary: 'canary' },
  (siege) => {
    const many = <Result>(work: (client: number) => Promise<Result>): Promise<Result[]> =>
      Promise.all(Array.from({ length: CLIENTS }, (_, client) => work(client)));
    const workers = (): number[] => descendantsOf(siege.server.process.pid!);
    const untilAsMany = async (count: number): Promise<void> => {
      await eventually(`no more than ${count} processes are left`, () => workers().length <= count);
    };

    it('of twenty registrations one succeeds, and so does one of twenty removals', async () => {
      const before = workers().length;
      const registered = await many(() => siege.manage('POST', '/models?url=noop&initial_workers=1&synchronous=true'));
      assert.deepEqual(registered.map(({ status }) => status).toSorted(), [
        200,
        ...Array.from({ length: 19 }, () => 409),
      ]);
      const removed = await many(() => siege.manage('DELETE', '/models/noop'));
      assert.deepEqual(removed.map(({ status }) => status).toSorted(), [200, ...Array.from({ length: 19 }, () => 404)]);
      await untilAsMany(before);
    });

    it('a model that is removed while it loads leaves no worker, and says so to whoever waited for it', async () => {
      const before = workers().length;
      const registering = siege.manage('POST', '/models?url=loading&initial_workers=2&synchronous=true');
      while (workers().length < before + 2) await sleep(10);
      assert.equal((await siege.manage('DELETE', '/models/loading')).status, 200);
      assert.equal((await registering).status, 404);
      await untilAsMany(before);
    });

    it('a model registered anew while the old one still works is a model of its own', async () => {
      const before = workers().length;
      const register = () => siege.manage('POST', '/models?url=slow&initial_workers=1&synchronous=true');
      assert.equal((await register()).status, 200);
      const held = siege.server.predict('slow', '1.5:first').then((answer) => answer.text());
      await sleep(200);
      const removing = siege.manage('DELETE', '/models/slow');
      await eventually('the name is free', async () => (await register()).status === 200);
      assert.equal(await (await siege.server.predict('slow', '0:second')).text(), 'second');
      assert.equal((await siege.manage('DELETE', '/models/slow')).status, 200);
      assert.equal(await held, 'first');
      assert.equal((await removing).status, 200);
      await untilAsMany(before);
    });

    it('twenty clients doing everything at once end with nothing left, and see only documented answers', async () => {
      const before = workers().length;
      const steps = [
        () => siege.manage('POST', '/models?url=noop&initial_workers=1&synchronous=true'),
        () => siege.manage('POST', '/models?url=noop2&initial_workers=1&synchronous=false'),
        () => siege.manage('POST', '/models?url=broken&initial_workers=1&synchronous=true'),
        () => siege.manage('PUT', '/models/noop?min_worker=2&synchronous=true'),
        () => siege.manage('PUT', '/models/noop?min_worker=0&max_worker=0'),
        () => siege.manage('PUT', '/models/noop/2.0/set-default'),
        () => siege.manage('PUT', '/models/noop/1.0/set-default'),
        () => siege.manage('GET', '/models/noop/all'),
        () => siege.manage('DELETE', '/models/noop'),
        () => siege.manage('DELETE', '/models/noop/2.0'),
        () => siege.manage('DELETE', '/models/broken'),
        async () => ({ status: (await siege.server.predict('noop', 'x')).status, text: '' }),
      ];
      const odd: string[] = [];
      const end = performance.now() + 4000;
      await many(async (client) => {
        for (let at = client; performance.now() < end; at += 7 + (client % 3)) {
          const { status, text } = await steps[at % steps.length]!();
          if (status === 500 && text.includes('Failed to start workers')) continue;
          if (![200, 202, 206, 403, 404, 409, 503].includes(status)) odd.push(`${status} ${text}`);
        }
      });
      assert.deepEqual(odd, []);
      for (const version of ['1.0', '2.0', '1.0']) await siege.manage('DELETE', `/models/noop/${version}`);
      await siege.manage('DELETE', '/models/broken');
      const { models } = JSON.parse((await siege.manage('GET', '/models')).text) as { models: { modelName: string }[] };
      assert.deepEqual(
        models.map(({ modelName }) => modelName),
        ['canary', 'hanging'],
      );
      await untilAsMany(before);
    });

    it('describing a hung worker in its own words waits no longer than its response timeout', async () => {
      const stuck = siege.server.predict('hanging', 'x').then((answer) => answer.status);
      await sleep(100);
      const asked = performance.now();
      const described = await many(() => siege.manage('GET', '/models/hanging?customized=true'));
      assert.ok(performance.now() - asked < 20_000);
      assert.ok(described.every(({ status }) => status >= 500));
      assert.equal(await stuck, 500);
    });

    it('a storm of clients that leave costs no memory, no descriptor and no worker', async () => {
      await siege.ready('hanging');
      const { pid } = (await siege.workersOf('hanging'))[0]!;
      const files = openFiles(siege.server.process.pid!);
      for (let round = 0; round < 30; round += 1) await many(() => leave('canary'));
      await eventually('their descriptors are closed', () => openFiles(siege.server.process.pid!) <= files + 5);
      assert.equal(isAlive(pid), true);
      assert.equal(await (await siege.server.predict('canary', 'x')).text(), 'OK');
    });

    function leave(model: string): Promise<void> {
      return new Promise((resolve) => {
        const client = request(`${siege.server.inference}/predictions/${model}`, {
          method: 'POST',
          agent: false,
          headers: { authorization: `Bearer ${siege.server.key('inference')}` },
        });
        client.on('error', () => undefined);
        client.on('finish', () => setTimeout(() => client.destroy(), 1));
        client.on('close', () => resolve());
        client.end('x');
      });
    }
  },
);

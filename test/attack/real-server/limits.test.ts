// Floods, oversized numbers, bombs and growth: what one client may cost the real server, and what stays afterwards.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32, deflateSync } from 'node:zlib';
import { exchangeRaw } from '../../support/http-doors.ts';
import { eventually } from '../../support/eventually.ts';
import { descendantsOf } from '../../support/process-tree.ts';
import { NOOP, SLOW_ECHO } from '../../support/model-store.ts';
import { describeSiege, openFiles, residentBytes } from './siege.ts';

const HANGING = `
import time
def handle(data, context):
    if data is not None:
        time.sleep(600)
`;
/** Opens images as every vision handler does, and answers their size. */
const IMAGES = `
import torch
from ts.torch_handler.vision_handler import VisionHandler

class Images(VisionHandler):
    image_processing = staticmethod(lambda image: torch.tensor(image.size))

    def initialize(self, context):
        self.device = "cpu"
        self.initialized = True

    def handle(self, data, context):
        return [str(size.tolist()) for size in self.preprocess(data)]
`;
const MIB = 1024 * 1024;

describeSiege(
  'floods and bombs at the real server',
  (store) => {
    store.add('canary', NOOP);
    store.add('slow', SLOW_ECHO);
    store.add('hanging', HANGING, { config: 'responseTimeout: 8\n' });
  },
  { models: ['canary', 'slow', 'hanging'], canary: 'canary' },
  (siege) => {
    const pid = (): number => siege.server.process.pid!;
    const key = (): string => siege.server.key('inference');

    it('numbers that are none, or too large, start nothing beyond the operator’s limit', async () => {
      const limit = 128;
      for (const value of ['1000000', '2147483647', '129']) {
        assert.equal((await siege.manage('PUT', `/models/canary?min_worker=${value}`)).status, 400, value);
      }
      assert.equal((await siege.manage('PUT', '/models/canary?min_worker=-1')).status, 500);
      assert.equal((await siege.manage('PUT', '/models/canary?min_worker=2&max_worker=1')).status, 400);
      // What Java could not read as an int counts as not given, as in TorchServe.
      for (const value of ['1e9', '-0', '0x10', '999999999999999999999', '1.5', 'NaN', '%00', '٣', '']) {
        const { status } = await siege.manage('PUT', `/models/canary?min_worker=${value}&max_worker=1`);
        assert.ok(status === 202 || status === 400, `${value}: ${status}`);
      }
      assert.equal(
        (await siege.manage('PUT', '/models/canary?min_worker=1&max_worker=1&synchronous=true')).status,
        200,
      );
      assert.ok((await siege.workersOf('canary')).length <= limit);
      assert.equal((await siege.workersOf('canary')).length, 1);
    });

    it('registration with hostile JSON is refused, whatever its depth', async () => {
      const bodies = [
        '['.repeat(30_000),
        `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
        '{"url": 1e400}',
        '{"__proto__": {"url": "canary"}}',
        '{"url": "\\ud800"}',
        '{"url": {"toString": 1}}',
        `{"${'k'.repeat(60_000)}": 1}`,
        '{"url": "canary", "initial_workers": 1e999}',
        '\uFEFF{}',
        'null',
        `{"url": "${'x'.repeat(100_000)}"}`,
      ];
      for (const body of bodies) {
        const answer = await siege.server.manage('POST', '/models', body);
        const text = await answer.text();
        assert.ok(answer.status >= 400 && answer.status <= 500, `${answer.status} ${body.slice(0, 40)}`);
        assert.doesNotMatch(text, /internal error|at JSON|SyntaxError/);
      }
      assert.equal((await siege.server.manage('POST', '/models', 'x'.repeat(7_000_000))).status, 413);
    });

    it('headers by the thousand, cookies by the kilobyte and blanks by the hundred cost an answer and nothing else', async () => {
      const head = 'GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n';
      for (const flood of [
        'X: 1\r\n'.repeat(3000),
        `Cookie: ${'a=b; '.repeat(4000)}\r\n`,
        `Accept: ${' '.repeat(15_000)}x\r\n`,
        `Authorization: Bearer${' '.repeat(15_000)}\r\n`,
        `X-Forwarded-For: ${'10.0.0.1, '.repeat(1000)}\r\n`,
      ]) {
        const started = performance.now();
        assert.match(await exchangeRaw(siege.inferencePort, `${head}${flood}\r\n`), /^HTTP\/1\.1 (?:200|400) /);
        assert.ok(performance.now() - started < 1000);
      }
    });

    it('bodies by the hundred that nobody answers stay under a bound, and leave with their clients', async () => {
      const before = residentBytes(pid());
      const body = Buffer.alloc(6_000_000, 120);
      const clients: ReturnType<typeof request>[] = [];
      const statuses: number[] = [];
      for (let at = 0; at < 150; at += 1) {
        const headers = { authorization: `Bearer ${key()}`, 'content-type': 'application/octet-stream' };
        const client = request(`${siege.server.inference}/predictions/hanging`, {
          method: 'POST',
          agent: false,
          headers,
        });
        client.on('response', (answer) => {
          statuses.push(answer.statusCode ?? 0);
          answer.resume();
        });
        client.on('error', () => undefined);
        client.end(body);
        clients.push(client);
        if (at % 10 === 9) await sleep(60);
      }
      await eventually('forty are refused', () => statuses.length >= 40);
      assert.ok(
        statuses.every((status) => status === 503),
        statuses.join(),
      );
      const used = residentBytes(pid()) - before;
      assert.ok(used < 900 * MIB, `${used / MIB} MiB for 900 MB of requests`);
      for (const client of clients) client.destroy();
      assert.equal(await (await siege.server.predict('canary', 'x')).text(), 'OK');
    });

    it('half a request, held open a few hundred times, keeps nobody else out', async () => {
      const sockets = Array.from({ length: 400 }, () => connect(siege.inferencePort, '127.0.0.1'));
      for (const socket of sockets)
        socket.on('error', () => undefined).write('POST /predictions/canary HTTP/1.1\r\nHost: loc');
      await sleep(300);
      assert.equal(await (await siege.server.predict('canary', 'x')).text(), 'OK');
      for (const socket of sockets) socket.destroy();
    });

    it('guessing keys is slowed down, and changes nothing for who knows one', async () => {
      const guess = (at: number) =>
        fetch(`${siege.server.inference}/predictions/canary`, {
          method: 'POST',
          headers: { authorization: `Bearer guess${at}`, 'x-forwarded-for': `10.0.0.${at}` },
        });
      const statuses: number[] = [];
      for (let at = 0; at < 60; at += 1) statuses.push((await guess(at)).status);
      assert.equal(statuses[0], 400);
      assert.equal(statuses.at(-1), 429);
      assert.equal(await (await siege.server.predict('canary', 'x')).text(), 'OK');
      assert.doesNotMatch(siege.server.output(), /guess\d/);
      assert.ok(!siege.server.output().includes(key()));
    });

    it('names, versions and paths that do not exist make no metric', async () => {
      const series = async (): Promise<number> =>
        (await (await fetch(`${siege.server.metrics}/metrics`)).text())
          .split('\n')
          .filter((line) => !line.startsWith('#')).length;
      await siege.server.predict('canary', 'x');
      const before = await series();
      for (let at = 0; at < 300; at += 1) {
        await siege.server.predict(`none${at}`, 'x');
        await siege.server.predict(`canary/${at}"} 1\nevil{a="`.replaceAll('\n', '%0a'), 'x');
      }
      assert.ok((await series()) <= before + 4);
      assert.doesNotMatch(await (await fetch(`${siege.server.metrics}/metrics`)).text(), /evil|none\d/);
    });

    it('registering and unregistering again and again leaves nothing behind', async () => {
      const state = join(siege.server.dir, 'state');
      const count = () => ({
        files: openFiles(pid()),
        processes: descendantsOf(pid()).length,
        models: readdirSync(join(state, 'models')).length,
        incoming: readdirSync(join(state, 'incoming')).length,
        temporary: readdirSync(siege.server.dir).filter((name) => name.startsWith('davy-')).length,
      });
      const cycle = async (name: string, workers: number): Promise<void> => {
        const path = `/models?url=canary&model_name=${name}&initial_workers=${workers}&synchronous=true`;
        assert.equal((await siege.manage('POST', path)).status, 200);
        assert.equal((await siege.manage('DELETE', `/models/${name}`)).status, 200);
      };
      await cycle('warm', 1);
      const before = count();
      for (let at = 0; at < 60; at += 3)
        await Promise.all([cycle('a', at % 15 === 0 ? 1 : 0), cycle('b', 0), cycle('c', 0)]);
      await sleep(200);
      const after = count();
      assert.ok(after.files <= before.files + 20, `${before.files} descriptors became ${after.files}`);
      assert.deepEqual({ ...after, files: 0 }, { ...before, files: 0 });
    });
  },
);

describeSiege(
  'image bombs at the real server',
  (store) => {
    store.add('canary', NOOP);
    store.add('images', IMAGES);
  },
  { models: ['canary', 'images'], canary: 'canary' },
  (siege) => {
    it('a picture of sixty thousand by sixty thousand pixels is refused by the Python handlers', async () => {
      const answer = await siege.server.predict('images', hugePng(60_000), {
        'content-type': 'application/octet-stream',
      });
      assert.ok(answer.status >= 400, String(answer.status));
      const [worker] = await siege.workersOf('images');
      assert.equal(worker?.status, 'READY');
      assert.ok(descendantsOf(siege.server.process.pid!).every((pid) => peakBytes(pid) < 1024 * MIB));
      const small = await siege.server.predict('images', hugePng(20), { 'content-type': 'application/octet-stream' });
      assert.equal(await small.text(), '[20, 20]');
    });
  },
);

/** A grey PNG with one bit a pixel. */
function hugePng(side: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 1;
  const row = 1 + Math.ceil(side / 8);
  const rows = Buffer.alloc(row * Math.min(side, 200));
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function peakBytes(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    // It ended while we looked.
    return 0;
  }
}

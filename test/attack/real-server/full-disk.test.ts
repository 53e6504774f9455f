// A disk without room: new models are refused, everything that is there goes on, and all is well once there is room again.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeModelStore, NOOP } from '../../support/model-store.ts';
import { startRealServer } from '../../support/real-server.ts';

const isRoot = process.getuid?.() === 0;
/** The store keeps some room free; below that it refuses before it writes. */
const DISK = 'size=300m,mode=711';

it(
  'a server whose disk is full serves on, restarts its workers and keeps its keys',
  {
    skip: isRoot ? false : 'only root can make a small disk',
  },
  async () => {
    using store = makeModelStore();
    store.add('noop', NOOP);
    const dir = mkdtempSync(join(tmpdir(), 'davy-small-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', DISK, 'none', dir]);
    try {
      await using server = await startRealServer({
        modelStore: store.dir,
        models: ['noop'],
        dir,
        config: ['enable_model_api=true'],
      });
      const worker = async (): Promise<{ pid: number; status: string }> => {
        const [model] = (await (await server.manage('GET', '/models/noop')).json()) as {
          workers: { pid: number; status: string }[];
        }[];
        return model!.workers[0]!;
      };
      const untilReady = async (): Promise<void> => {
        for (let tries = 0; tries < 200 && (await worker()).status !== 'READY'; tries += 1) await sleep(50);
        assert.equal((await worker()).status, 'READY');
      };
      await untilReady();
      const key = server.key('inference');
      fill(join(dir, 'fill'));
      const refused = await server.manage('POST', '/models?url=noop&model_name=other');
      assert.equal(refused.status, 507);
      assert.doesNotMatch(await refused.text(), /ENOSPC|\/tmp/);
      const rotated = await fetch(`${server.management}/token?type=inference`, {
        headers: { authorization: `Bearer ${server.key('API')}` },
      });
      assert.equal(rotated.status, 400);
      assert.equal(server.key('inference'), key);
      process.kill((await worker()).pid, 'SIGKILL');
      await sleep(300);
      await untilReady();
      assert.equal(await (await server.predict('noop', 'x')).text(), 'OK');
      assert.deepEqual(readdirSync(join(dir, 'state', 'incoming')), []);
      rmSync(join(dir, 'fill'));
      assert.equal((await server.manage('POST', '/models?url=noop&model_name=other')).status, 200);
    } finally {
      execFileSync('umount', ['-l', dir]);
      rmSync(dir, { recursive: true });
    }
  },
);

function fill(path: string): void {
  try {
    for (let chunks = 0; chunks < 10_000; chunks += 1) appendFileSync(path, Buffer.alloc(65_536));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  }
}

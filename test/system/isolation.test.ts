// The level of isolation as the operator meets it: proven at every start, told on request, refused where it cannot be had.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { makeModelStore, NOOP } from '../support/model-store.ts';
import { startRealServer } from '../support/real-server.ts';
import { TEST_ISOLATION } from '../support/test-isolation.ts';

const TIMEOUT_MS = 60_000;

describe('isolation', () => {
  test('is proven before a port is open, and told to who may read', { timeout: TIMEOUT_MS }, async () => {
    using store = makeModelStore();
    store.add('noop', NOOP);
    await using server = await startRealServer({ modelStore: store.dir, models: ['noop'] });
    const response = await server.manage('GET', '/isolation');
    assert.equal(response.status, 200);
    const told = (await response.json()) as Record<string, any>;
    assert.equal(told['level'], TEST_ISOLATION);
    assert.ok(told['mechanism'].length > 0);
    assert.deepEqual(Object.keys(told['limits']), ['memory', 'tasks', 'cpu', 'files', 'tmp']);
    assert.ok(told['probes'].run > 15);
    assert.deepEqual([told['probes'].hits, told['probes'].blocked], [[], told['probes'].run]);
    await server.until(/Isolation: \w+: .*; limits: memory by .* attacks from inside stopped/);
    assert.equal((await fetch(`${server.management}/isolation`)).status, 400);
    assert.equal((await server.manage('DELETE', '/isolation')).status, 405);
    const [model] = (await (await server.manage('GET', '/models/noop')).json()) as Record<string, any>[];
    assert.equal(model!['isolation'].level, TEST_ISOLATION);
    assert.ok(model!['isolation'].limits.memoryBytes > 0);
  });

  test('of level none is called what it is', { timeout: TIMEOUT_MS }, async () => {
    using store = makeModelStore();
    store.add('noop', NOOP);
    await using server = await startRealServer({ modelStore: store.dir, models: ['noop'], config: ['isolation=none'] });
    await server.until(/WARN.*Isolation: NONE\. A model can do whatever this server can/);
    const told = (await (await server.manage('GET', '/isolation')).json()) as Record<string, unknown>;
    assert.deepEqual([told['level'], told['probes'], told['mechanism']], ['none', null, []]);
  });

  test(
    'that the machine cannot give ends the start with the remedy, and nothing is served',
    { timeout: TIMEOUT_MS },
    async () => {
      using store = makeModelStore();
      const nothing = mkdtempSync(join(tmpdir(), 'davy-no-programs-'));
      mkdirSync(join(nothing, 'bin'));
      try {
        const start = startRealServer({
          modelStore: store.dir,
          config: ['isolation=strict'],
          env: { PATH: join(nothing, 'bin') },
        });
        await assert.rejects(start, /Isolation level "strict" cannot be had: .* To get it: .*install/);
      } finally {
        rmSync(nothing, { recursive: true });
      }
    },
  );
});

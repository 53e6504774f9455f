// What handlers in Node ask in passing is answered inside a cage, too, where there is no /proc to read it from.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeModelStore } from '../support/model-store.ts';
import { startRealServer } from '../support/real-server.ts';

const ASK = `
import os, { cpus } from 'node:os';

export function handle(rows) {
  const { rss, heapUsed } = process.memoryUsage();
  const answer = {
    rss: rss > 1e6 && process.memoryUsage.rss() > 1e6,
    heapUsed: heapUsed > 1e5,
    cpus: cpus().length > 0,
    user: typeof os.userInfo().username,
    interfaces: Object.keys(os.networkInterfaces()),
  };
  return rows.map(() => answer);
}
`;

test('a caged Node handler can ask for its memory, processors, user and network', { timeout: 60_000 }, async () => {
  using store = makeModelStore();
  const model = { handler: 'ask.mjs' };
  store.add('ask', '', { files: { 'ask.mjs': ASK }, model, manifest: { runtime: 'node' } });
  await using server = await startRealServer({ modelStore: store.dir, models: ['ask'] });
  const response = await server.predict('ask', 'x');
  assert.equal(response.status, 200);
  const { interfaces, ...answer } = (await response.json()) as Record<string, unknown>;
  assert.deepEqual(answer, { rss: true, heapUsed: true, cpus: true, user: 'string' });
  assert.ok(Array.isArray(interfaces));
});

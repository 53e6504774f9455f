// worker_max_requests: workers are replaced after so many requests, and no client notices.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { makeModelStore } from '../support/model-store.ts';
import { startRealServer } from '../support/real-server.ts';

/** Answers who it is: drawn anew by every worker. */
const WHO = `
import uuid

ME = uuid.uuid4().hex

def handle(data, context):
    return None if data is None else [ME] * len(data)
`;

test('workers are replaced after worker_max_requests requests, without a failed one', { timeout: 60_000 }, async () => {
  using store = makeModelStore();
  store.add('who', WHO);
  await using server = await startRealServer({
    modelStore: store.dir,
    models: ['who'],
    config: ['worker_max_requests=20', 'default_workers_per_model=2'],
  });
  const seen = new Set<string>();
  const ask = async (): Promise<void> => {
    const response = await server.predict('who', 'x');
    assert.equal(response.status, 200);
    seen.add(await response.text());
  };
  const workers = async (): Promise<Record<string, any>[]> =>
    ((await (await server.manage('GET', '/models/who')).json()) as Record<string, any>[])[0]!['workers'] as [];
  for (let round = 0; round < 200 && seen.size < 5; round += 1) {
    await Promise.all(Array.from({ length: 4 }, ask));
    await delay(10);
  }
  assert.ok(seen.size >= 5, `${seen.size} workers answered`);
  // One may be coming while another leaves, and that is all there ever is.
  await eventually('two are left', async () => (await workers()).length === 2);
  const left = await workers();
  assert.deepEqual(
    left.map(({ status, lastDeath }) => [status, lastDeath]),
    [
      ['READY', undefined],
      ['READY', undefined],
    ],
  );
  await ask();
});

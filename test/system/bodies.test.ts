// Large bodies are freed by hand once they are written: every byte must still arrive, whoever vanishes, fails or dies meanwhile.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeModelStore, type TestStore } from '../support/model-store.ts';
import { startRealServer, type RealServer } from '../support/real-server.ts';

/** Gives the body back; a batch whose first byte is 1 fails as a whole unless it is alone, one with 2 kills its worker. */
const MOODY_ECHO = `
import os

def handle(data, context):
    if data is None:
        return None
    bodies = [row.get("body") for row in data]
    if len(bodies) > 1 and any(body[0] == 1 for body in bodies):
        raise ValueError("not in company")
    if any(body[0] == 2 for body in bodies):
        os._exit(3)
    return bodies
`;

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('large bodies', () => {
  let store: TestStore;
  let server: RealServer;
  before(async () => {
    store = makeModelStore();
    const config = 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 3\nmaxBatchDelay: 20\n';
    store.add('echo', MOODY_ECHO, { config });
    server = await startRealServer({ modelStore: store.dir, models: ['echo'] });
  });
  after(async () => {
    await server.stop();
    store[Symbol.dispose]();
  });

  const body = (kind: number, bytes: number): Buffer => {
    const random = randomBytes(bytes);
    random[0] = kind;
    return random;
  };
  const send = async (sent: Buffer): Promise<{ status: number; isSame: boolean }> => {
    const response = await server.predict('echo', sent, { 'content-type': 'application/octet-stream' });
    const received = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, isSame: sha(received) === sha(sent) };
  };

  it('come back whole from concurrent batches, failed ones included', async () => {
    const clients = Array.from({ length: 6 }, async (_, client) => {
      for (let turn = 0; turn < 8; turn += 1) {
        const answer = await send(body(client === 0 ? 1 : 0, 100_000 + 97_531 * turn));
        assert.deepEqual(answer, { status: 200, isSame: true });
      }
    });
    await Promise.all(clients);
  });

  it('are not mixed up by clients that vanish while sending or receiving', async () => {
    const vanishing = Array.from({ length: 12 }, async (_, index) => {
      const client = request(`${server.inference}/predictions/echo`, {
        method: 'POST',
        headers: { authorization: `Bearer ${server.key('inference')}`, 'content-length': 900_000 },
      });
      client.on('error', () => {});
      client.on('response', (response) => response.once('data', () => client.destroy()));
      client.write(body(0, index % 2 === 0 ? 450_000 : 900_000));
      await sleep(5 * index);
      if (index % 2 === 0) client.destroy();
      else client.end();
    });
    const steady = Array.from({ length: 8 }, () => send(body(0, 700_000)));
    for (const answer of await Promise.all(steady)) assert.deepEqual(answer, { status: 200, isSame: true });
    await Promise.all(vanishing);
    assert.deepEqual(await send(body(0, 700_000)), { status: 200, isSame: true });
  });

  it('outlive the worker that was reading them', async () => {
    const killer = send(body(2, 300_000));
    const others = Array.from({ length: 4 }, () => send(body(0, 600_000)));
    assert.notEqual((await killer).status, 200);
    for (const answer of await Promise.all(others)) assert.deepEqual(answer, { status: 200, isSame: true });
  });
});

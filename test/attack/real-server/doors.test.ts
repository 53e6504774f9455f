// Clients without a key, and clients with one and bad manners, at every door of the real server: none of them may cost its
// process memory without bound, its neighbours their answers, or end it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { GRPCInferenceService, ModelInferRequestSchema } from '../../../src/grpc/gen/open_inference_pb.ts';
import { GrpcClient } from '../../support/grpc-client.ts';
import { NOOP } from '../../support/model-store.ts';
import { portOf } from '../../support/real-server.ts';
import { describeSiege, residentBytes } from './siege.ts';

const MIB = 1024 * 1024;
const HEALTH = '/grpc.health.v1.Health/Check';
const MAX_CONNECTIONS = 200;

describeSiege(
  'clients with bad manners at the real server',
  (store) => {
    store.add('canary', NOOP);
    store.add('sequences', NOOP, {
      config: 'sequenceBatching: true\nsequenceMaxIdleMSec: 30000\nmaxNumSequence: 4\nmaxSequenceJobQueueSize: 8\n',
    });
  },
  {
    models: ['canary', 'sequences'],
    canary: 'canary',
    config: ['ts_open_inference_protocol=true', `max_connections=${MAX_CONNECTIONS}`],
  },
  (siege) => {
    const pid = (): number => siege.server.process.pid!;
    const grpcPort = (): number => portOf(siege.server.grpcInference);
    const isServing = async (): Promise<void> => {
      assert.equal(await (await siege.server.predict('canary', 'x')).text(), 'OK');
    };
    /** From an address of its own, so that it is nobody's neighbour. */
    const open = (port: number, localAddress = '127.0.0.2'): Socket =>
      connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);

    it('requests without end on one connection are cut, read or unread', async () => {
      const before = residentBytes(pid());
      const flood = 'GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(50_000);
      const clients = Array.from({ length: 10 }, () => open(siege.inferencePort));
      for (const [at, client] of clients.entries()) {
        if (at % 2) client.resume();
        client.write(flood);
      }
      await isServing();
      for (const client of clients) {
        client.resume();
        if (!client.closed) await once(client, 'close');
      }
      assert.ok(residentBytes(pid()) - before < 150 * MIB);
    });

    it('a body in single bytes costs what it weighs', async () => {
      const before = residentBytes(pid());
      for (const head of ['POST /ping', 'POST /predictions/canary']) {
        const client = open(siege.inferencePort).resume();
        const key = head.includes('canary') ? `Authorization: Bearer ${siege.server.key('inference')}\r\n` : '';
        client.write(`${head} HTTP/1.1\r\nHost: localhost\r\n${key}Transfer-Encoding: chunked\r\n\r\n`);
        const crumbs = '1\r\nx\r\n'.repeat(10_000);
        for (let at = 0; at < 50 && !client.destroyed; at += 1) {
          if (!client.write(crumbs)) await Promise.race([once(client, 'drain'), once(client, 'close')]);
        }
        await isServing();
        client.destroy();
      }
      assert.ok(residentBytes(pid()) - before < 100 * MIB, `${(residentBytes(pid()) - before) / MIB} MiB`);
    });

    it('gRPC clients that open calls, say nothing and vanish end nothing but themselves', async () => {
      for (let round = 0; round < 3; round += 1) {
        const client = connectHttp2(`http://127.0.0.1:${grpcPort()}`);
        client.on('error', () => undefined);
        await once(client, 'remoteSettings');
        for (let at = 0; at < 100; at += 1) {
          client
            .request({ ':method': 'POST', ':path': HEALTH, 'content-type': 'application/grpc' })
            .on('error', () => undefined);
        }
        await isServing();
        client.destroy();
        await isServing();
      }
      assert.equal(siege.server.process.exitCode, null);
    });

    it('a model that answers no tensors fails ModelInfer and nothing else', async () => {
      using client = new GrpcClient(grpcPort());
      const request = create(ModelInferRequestSchema, { modelName: 'canary' });
      const call = client.unary(GRPCInferenceService.method.modelInfer, request, {
        key: siege.server.key('inference'),
      });
      await assert.rejects(call, { code: 14 });
      await isServing();
    });

    it('JSON a million deep reaches the worker and does not end it', async () => {
      const [worker] = await siege.workersOf('canary');
      const deep = '['.repeat(1_000_000);
      for (const body of [deep, deep + ']'.repeat(1_000_000), '{"a":'.repeat(900_000), '1'.repeat(5_000_000)]) {
        const answer = await siege.server.predict('canary', body, { 'content-type': 'application/json' });
        assert.equal(await answer.text(), 'OK');
      }
      assert.equal((await siege.workersOf('canary'))[0]?.pid, worker?.pid);
    });

    it('sequences that are opened and left by the thousand take no more than their places', async () => {
      const before = residentBytes(pid());
      const statuses = new Map<number, number>();
      const openSome = async (from: number): Promise<void> => {
        for (let at = from; at < 2000; at += 20) {
          const headers = { ts_request_sequence_id: `s${at}`, ts_request_sequence_start: 'true' };
          const { status } = await siege.server.predict('sequences', 'x', headers);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: 20 }, (_, from) => openSome(from)));
      assert.ok((statuses.get(503) ?? 0) > 1900, JSON.stringify([...statuses]));
      assert.ok(residentBytes(pid()) - before < 100 * MIB);
      await isServing();
    });

    it('what a client says about its request is neither believed nor repeated', async () => {
      for (const id of ['evil-id', 'x'.repeat(5000), '\u00ff\u0080']) {
        const answer = await siege.server.predict('canary', 'x', {
          'x-request-id': id,
          traceparent: id,
          'x-forwarded-for': '203.0.113.7',
          forwarded: 'for=203.0.113.7',
        });
        assert.match(answer.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
      }
      assert.doesNotMatch(siege.server.output(), /evil-id|x{1000}|203\.0\.113/);
    });

    it('a form of nothing but ampersands is refused before it is looked at', async () => {
      const answer = await siege.server.predict('canary', '&'.repeat(6_000_000), {
        'content-type': 'application/x-www-form-urlencoded',
      });
      assert.equal(answer.status, 400);
    });

    it('one source that holds every connection, idle, keeps nobody out', async () => {
      const held = Array.from({ length: MAX_CONNECTIONS + 20 }, () => open(siege.inferencePort).resume());
      await Promise.all(
        held.map((socket) => (socket.connecting ? once(socket, 'connect').catch(() => undefined) : {})),
      );
      for (let at = 0; at < 5; at += 1) {
        const answer = await siege.server.predict('canary', 'x', { connection: 'close' });
        assert.equal(await answer.text(), 'OK');
      }
      for (const socket of held) socket.destroy();
    });
  },
);

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
import { describeSiege, residentBytes } from './siege.ts';

const MIB = 1024 * 1024;
const HEALTH = '/grpc.health.v1.Health/Check';
const MAX_CONNECTIONS = 200;

describeSiege(
  'clients with bad manners at the real server',
  (store) => store.add('canary', NOOP),
  {
    models: ['canary'],
    canary: 'canary',
    config: ['ts_open_inference_protocol=true', `max_connections=${MAX_CONNECTIONS}`],
  },
  (siege) => {
    const pid = (): number => siege.server.process.pid!;
    const grpcPort = (): number => Number(siege.server.grpcInference.split(':')[1]);
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

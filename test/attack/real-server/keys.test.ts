// Keys against the real server: who may do what over every protocol, where the keys lie, and what else may stand there.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { InferenceAPIsService, PredictionsRequestSchema } from '../../../src/grpc/gen/inference_pb.ts';
import { ListModelsRequestSchema, ManagementAPIsService } from '../../../src/grpc/gen/management_pb.ts';
import { GrpcClient } from '../../support/grpc-client.ts';
import { exchangeRaw } from '../../support/http-doors.ts';
import { NOOP, makeModelStore } from '../../support/model-store.ts';
import { freePorts, portOf, startRealServer } from '../../support/real-server.ts';
import { describeSiege } from './siege.ts';

describeSiege(
  'keys of the real server',
  (store) => store.add('canary', NOOP),
  { models: ['canary'], canary: 'canary' },
  (siege) => {
    const bearer = (key: string): string => `Authorization: Bearer ${key}\r\n`;
    const ask = async (port: number, line: string, headers: string): Promise<number> =>
      Number(
        (await exchangeRaw(port, `${line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n`)).slice(
          9,
          12,
        ),
      );

    it('no order or form of two keys passes', async () => {
      const good = siege.server.key('inference');
      for (const headers of [
        '',
        bearer(good) + bearer('bad'),
        bearer('bad') + bearer(good),
        bearer(good) + bearer(good),
        bearer(`bad, Bearer ${good}`),
        bearer(`${good}, Bearer bad`),
        bearer(`${good}\t`).replace('\t', ' x'),
        `authorization: bearer ${good}\r\n`,
        `Authorization: ${good}\r\n`,
        bearer(siege.server.key('management')),
        bearer(siege.server.key('API')),
      ]) {
        assert.equal(await ask(siege.inferencePort, 'POST /predictions/canary', headers), 400, headers);
      }
      assert.equal(await ask(siege.inferencePort, 'POST /predictions/canary', bearer(good)), 200);
    });

    it('only the exact path rotates, only by its key, and a method is what it says', async () => {
      const before = siege.server.key('management');
      const api = bearer(siege.server.key('API'));
      assert.equal(await ask(siege.managementPort, 'GET /models/tokenizer?type=management', api), 400);
      assert.equal(await ask(siege.managementPort, 'HEAD /token?type=management', api), 405);
      assert.equal(await ask(siege.managementPort, 'GET /token?type=management', bearer(before)), 400);
      assert.equal(
        await ask(siege.managementPort, 'GET /models?x=/token', bearer(before) + 'Referer: /token\r\n'),
        200,
      );
      const override = `${bearer(before)}X-HTTP-Method-Override: DELETE\r\n`;
      assert.equal(await ask(siege.managementPort, 'GET /models/canary?_method=DELETE', override), 200);
      assert.equal(siege.server.key('management'), before);
    });

    it('gRPC asks for the same keys', async () => {
      using inference = new GrpcClient(portOf(siege.server.grpcInference));
      using management = new GrpcClient(portOf(siege.server.grpcManagement));
      const predict = (key?: string) =>
        inference.unary(
          InferenceAPIsService.method.predictions,
          create(PredictionsRequestSchema, { modelName: 'canary' }),
          key === undefined ? {} : { key },
        );
      const list = (key: string) =>
        management.unary(ManagementAPIsService.method.listModels, create(ListModelsRequestSchema, { limit: 10 }), {
          key,
        });
      for (const key of [undefined, '', 'bad', siege.server.key('management'), siege.server.key('API')]) {
        await assert.rejects(predict(key), { code: 7 });
      }
      await assert.rejects(list(siege.server.key('inference')), { code: 7 });
      assert.match((await list(siege.server.key('management'))).msg, /canary/);
    });

    it('twenty rotations at once end with one key that works and a file that holds it', async () => {
      const api = bearer(siege.server.key('API'));
      const first = siege.server.key('inference');
      const all = Array.from({ length: 20 }, () => ask(siege.managementPort, 'GET /token?type=inference', api));
      assert.deepEqual(new Set(await Promise.all(all)), new Set([200]));
      assert.equal(await ask(siege.inferencePort, 'POST /predictions/canary', bearer(first)), 400);
      assert.equal((await siege.server.predict('canary', 'x')).status, 200);
      assert.equal(statSync(join(siege.server.dir, 'key_file.json')).mode & 0o777, 0o600);
    });

    it('a link in the place of the key file is neither followed nor removed', async () => {
      const path = join(siege.server.dir, 'key_file.json');
      const text = readFileSync(path, 'utf8');
      const victim = join(siege.server.dir, 'victim');
      const api = bearer(siege.server.key('API'));
      writeFileSync(victim, 'precious');
      unlinkSync(path);
      symlinkSync(victim, path);
      assert.equal(await ask(siege.managementPort, 'GET /token?type=inference', api), 400);
      assert.equal(readFileSync(victim, 'utf8'), 'precious');
      unlinkSync(path);
      writeFileSync(path, text, { mode: 0o600 });
      assert.equal((await siege.server.predict('canary', 'x')).status, 200);
    });
  },
);

it('unix sockets are open to owner and group only, count guesses, and go with the server', async () => {
  using store = makeModelStore();
  store.add('canary', NOOP);
  const dir = mkdtempSync(join(tmpdir(), 'davy-sockets-'));
  try {
    const config = ['inference', 'management', 'metrics'].map((name) => `${name}_address=unix:${dir}/${name}.sock`);
    const server = await startRealServer({ modelStore: store.dir, config });
    const ask = (key: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${key}`, host: 'evil' };
        const options = { socketPath: join(dir, 'management.sock'), path: '/models', headers };
        request(options, (answer) => resolve(answer.resume().statusCode ?? 0))
          .on('error', reject)
          .end();
      });
    for (const name of ['inference', 'management', 'metrics']) {
      assert.equal(statSync(join(dir, `${name}.sock`)).mode & 0o777, 0o660);
    }
    for (let at = 0; at < 25; at += 1) assert.equal(await ask('guess'), at < 20 ? 400 : 429);
    assert.equal(await ask(server.key('management')), 200);
    assert.equal(await server.stop(), 0);
    assert.throws(() => statSync(join(dir, 'management.sock')), { code: 'ENOENT' });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

it('on one port for everything the route decides which key is wanted', async () => {
  using store = makeModelStore();
  store.add('canary', NOOP);
  const [port] = await freePorts(1);
  const address = `http://127.0.0.1:${port}`;
  const config = [`inference_address=${address}`, `management_address=${address}`, 'enable_model_api=true'];
  await using server = await startRealServer({ modelStore: store.dir, models: ['canary'], config });
  const status = async (method: string, path: string, key: 'inference' | 'management'): Promise<number> =>
    (await fetch(address + path, { method, headers: { authorization: `Bearer ${server.key(key)}` } })).status;
  assert.equal(await status('GET', '/models', 'inference'), 400);
  assert.equal(await status('DELETE', '/models/canary', 'inference'), 400);
  assert.equal(await status('GET', '/token?type=inference', 'management'), 400);
  assert.equal(await status('POST', '/predictions/canary', 'management'), 400);
  assert.equal(await status('POST', '/models/canary/invoke', 'management'), 400);
  assert.equal(await status('POST', '/models/canary/predict', 'management'), 405);
  assert.equal(await status('POST', '/models/canary/invoke', 'inference'), 200);
  assert.equal(await status('GET', '/models', 'management'), 200);
});

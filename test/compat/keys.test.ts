// Token authorisation by default (surface spec 6): headers, rotation, CORS, and the same keys on gRPC.
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { after, before, describe } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { InferenceAPIsService } from '../../src/grpc/gen/inference_pb.ts';
import { ManagementAPIsService } from '../../src/grpc/gen/management_pb.ts';
import { errorBody } from '../support/compat-server.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { exchangeRaw } from '../support/http-doors.ts';
import { exchange, type Exchanged, type ExchangeOptions } from '../support/http-exchange.ts';
import { isRefused, KEY_REFUSED_TEXT, keyFileIn, keysIn, TOKEN_REFUSED } from '../support/key-file.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { portOf, startRealServer, type RealServer } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const HOUR_MS = 3_600_000;

describe('keys, as they are without any setting', () => {
  let store: TestStore;
  let server: RealServer;
  before(async () => {
    store = makeModelStore();
    store.add('noop', NOOP);
    store.addArchive('noop.mar', 'noop', NOOP);
    server = await startRealServer({
      modelStore: store.dir,
      models: ['noop'],
      config: [
        'enable_model_api=true',
        'ping_requires_token=true',
        'allowed_urls=https://models\\\\.example/.*',
        'cors_allowed_origin=https://app.example',
        'cors_allowed_methods=GET, POST',
        'cors_allowed_headers=authorization',
      ],
    });
  });
  after(async () => {
    await server?.stop();
    store?.[Symbol.dispose]();
  });

  const bearer = (name: 'inference' | 'management' | 'API'): Record<string, string> => ({
    authorization: `Bearer ${server.key(name)}`,
  });
  const infer = (path: string, options: ExchangeOptions = {}): Promise<Exchanged> =>
    exchange(server.inference + path, options);
  const admin = (path: string, options: ExchangeOptions = {}): Promise<Exchanged> =>
    exchange(server.management + path, options);
  /** The status of a request whose header lines are exactly these. */
  const raw = async (headerLines: readonly string[], path = '/predictions/noop'): Promise<number> => {
    const lines = [`GET ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headerLines];
    return Number((await exchangeRaw(portOf(server.inference), `${lines.join('\r\n')}\r\n\r\n`)).slice(9, 12));
  };

  describe('on REST', () => {
    behaviour('6.1', 'same', 'tokens are asked for unless something switches them off', async () => {
      isRefused(await admin('/models'));
      isRefused(await infer('/predictions/noop'));
      assert.equal((await admin('/models', { headers: bearer('management') })).status, 200);
      assert.equal((await infer('/predictions/noop', { headers: bearer('inference') })).text, 'OK');
    });

    behaviour(
      '6.3',
      'same',
      'with ping_requires_token=true /ping wants the inference key, as TorchServe’s does',
      async () => {
        isRefused(await infer('/ping'));
        isRefused(await infer('/ping', { headers: bearer('management') }));
        assert.equal((await infer('/ping', { headers: bearer('inference') })).text, '{\n  "status": "Healthy"\n}\n');
      },
    );

    behaviour(
      '6.2',
      'same',
      'the header’s name is taken in any case, and any blanks separate scheme and key',
      async () => {
        const key = server.key('inference');
        for (const line of [
          `AUTHORIZATION: Bearer ${key}`,
          `authorization:Bearer ${key}`,
          `Authorization: Bearer \t ${key}`,
        ]) {
          assert.equal(await raw([line]), 200, line);
        }
        for (const line of [
          `Authorization: BEARER ${key}`,
          `Authorization: Bearer "${key}"`,
          `Authorization: Bearer`,
          `Proxy-Authorization: Bearer ${key}`,
          `Authorization: Token ${key}`,
        ]) {
          assert.equal(await raw([line]), 400, line);
        }
        assert.equal(await raw([], `/predictions/noop?authorization=Bearer%20${key}`), 400);
      },
    );

    behaviour(
      '6.2',
      'stricter',
      'two Authorization headers are as none, whichever of them is right; TorchServe takes the first',
      async () => {
        const [good, bad] = [`Authorization: Bearer ${server.key('inference')}`, 'Authorization: Bearer abcd1234'];
        for (const lines of [
          [good, bad],
          [bad, good],
          [good, good],
        ]) {
          assert.equal(await raw(lines), 400);
        }
        assert.equal(await raw([good]), 200);
      },
    );

    behaviour(
      '6.3',
      'same',
      '/predictions, KServe, invocations and unknown paths all want the inference key first',
      async () => {
        for (const path of [
          '/predictions/none',
          '/explanations/noop',
          '/v1/models/noop:predict',
          '/v2/models/noop/infer',
          '/invocations',
          '/noop/predict',
          '/wfpredict/x',
          '/models/noop/invoke',
          '/token',
          '/nothing',
        ]) {
          isRefused(await infer(path));
          isRefused(await infer(path, { headers: bearer('API') }));
        }
        assert.equal((await infer('/token', { headers: bearer('inference') })).status, 404);
        assert.equal((await infer('/nothing', { headers: bearer('inference') })).status, 404);
      },
    );

    behaviour('6.3', 'same', 'no port wants a key to describe its API, or to say that / is not for GET', async () => {
      for (const base of [server.inference, server.management, server.metrics]) {
        assert.equal((await exchange(`${base}/`, { method: 'OPTIONS' })).status, 200, base);
        assert.equal((await exchange(`${base}/api-description`)).status, 200, base);
      }
      assert.deepEqual([(await infer('/')).status, (await admin('/')).status], [405, 405]);
    });

    behaviour(
      '6.8',
      'same',
      'refusals carry the CORS headers too, and a preflight to a model wants a key',
      async () => {
        const preflight = { origin: 'https://app.example', 'access-control-request-method': 'POST' };
        const answers = [
          await infer('/predictions/noop', { method: 'OPTIONS', headers: preflight }),
          await admin('/models', { headers: preflight }),
          await infer('/', { method: 'OPTIONS', headers: preflight }),
          await exchange(`${server.metrics}/metrics`, { headers: preflight }),
        ];
        assert.deepEqual(
          answers.map(({ status }) => status),
          [400, 400, 200, 200],
        );
        for (const { headers } of answers) {
          assert.deepEqual(
            ['origin', 'methods', 'headers'].map((name) => headers[`access-control-allow-${name}`]),
            ['https://app.example', 'GET, POST', 'authorization'],
          );
        }
        const allowed = await infer('/predictions/noop', {
          method: 'OPTIONS',
          headers: { ...preflight, ...bearer('inference') },
        });
        assert.equal(allowed.json<{ info: { title: string } }>().info.title, 'RESTful API for: noop');
      },
    );
  });

  describe('in a browser', () => {
    behaviour(
      '6.8',
      'stricter',
      'a page of an origin that cors_allowed_origin does not name may change nothing, even with the key; reading and predicting stay',
      async () => {
        const from = (origin: string) => ({ ...bearer('management'), origin });
        const scale = (origin: string): Promise<Exchanged> =>
          admin('/models/noop?min_worker=1&synchronous=true', { method: 'PUT', headers: from(origin) });
        const refused = await scale('https://evil.example');
        assert.equal(refused.status, 400);
        assert.match(refused.text, /See cors_allowed_origin/);
        assert.equal((await scale('https://app.example')).status, 200);
        assert.equal((await scale(server.management)).status, 200);
        assert.equal((await admin('/models', { headers: from('https://evil.example') })).status, 200);
        const headers = { ...bearer('inference'), origin: 'https://evil.example' };
        assert.equal((await infer('/predictions/noop', { method: 'POST', headers })).text, 'OK');
      },
    );
  });

  describe('on /token', () => {
    behaviour('6.5', 'same', 'the lifetime of a rotated key begins anew; the API key has none and stays', async () => {
      const old = keysIn(server.dir);
      const earliest = Date.now() + HOUR_MS;
      assert.equal((await admin('/token?type=management', { headers: bearer('API') })).status, 200);
      const { management, API } = keysIn(server.dir);
      assert.ok(Date.parse(management['expiration time']) >= earliest);
      assert.deepEqual(API, old.API);
      isRefused(await admin('/models', { headers: { authorization: `Bearer ${old.management.key}` } }));
    });

    behaviour('6.5', 'same', 'GET, POST, PUT, PATCH and DELETE all rotate; more parameters do not matter', async () => {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
        const old = server.key('inference');
        const answer = await admin('/token?x=1&type=inference&type=management', { method, headers: bearer('API') });
        assert.deepEqual([answer.status, answer.text], [200, '\n'], method);
        assert.notEqual(server.key('inference'), old, method);
      }
    });

    behaviour('6.5', 'stricter', 'HEAD, OPTIONS and TRACE rotate nothing: they promise to change nothing', async () => {
      const old = keysIn(server.dir);
      for (const method of ['HEAD', 'OPTIONS', 'TRACE']) {
        assert.equal((await admin('/token?type=inference', { method, headers: bearer('API') })).status, 405, method);
      }
      assert.deepEqual(keysIn(server.dir), old);
    });

    behaviour(
      '6.5',
      'same',
      'a key that cannot be written down is not rotated: 400, and the old one goes on',
      async () => {
        const path = keyFileIn(server.dir);
        const old = keysIn(server.dir);
        const headers = bearer('API');
        renameSync(path, `${path}.away`);
        mkdirSync(path);
        isRefused(await admin('/token?type=inference', { headers }), TOKEN_REFUSED);
        rmSync(path, { recursive: true });
        renameSync(`${path}.away`, path);
        assert.deepEqual(keysIn(server.dir), old);
        assert.equal((await infer('/predictions/noop', { headers: bearer('inference') })).status, 200);
      },
    );

    behaviour('6.5', 'same', 'the type is exact: neither API, nor an empty or padded one is a type', async () => {
      const headers = bearer('API');
      for (const query of ['?type=API', '?type=', '?type=%20inference', '?type=MANAGEMENT', '?Type=inference']) {
        isRefused(await admin(`/token${query}`, { headers }), TOKEN_REFUSED);
      }
      isRefused(await admin('/token?type=inference', { headers: bearer('inference') }), TOKEN_REFUSED);
    });
  });

  describe('on gRPC', () => {
    const { registerModel, unregisterModel, describeModel } = ManagementAPIsService.method;
    const { predictions, ping } = InferenceAPIsService.method;
    let inference: GrpcClient;
    let management: GrpcClient;
    before(() => {
      inference = new GrpcClient(portOf(server.grpcInference));
      management = new GrpcClient(portOf(server.grpcManagement));
    });
    after(() => {
      for (const client of [inference, management]) client?.[Symbol.dispose]();
    });
    const refused = { code: 7, details: KEY_REFUSED_TEXT };

    behaviour(
      '13.4',
      'same',
      'gRPC register, predict and unregister work with the right keys, and are refused with wrong ones',
      async () => {
        const registering = create(registerModel.input, {
          url: 'noop.mar',
          modelName: 'rpc',
          initialWorkers: 1,
          synchronous: true,
        });
        const predicting = create(predictions.input, { modelName: 'rpc', input: { data: Buffer.from('x') } });
        const unregistering = create(unregisterModel.input, { modelName: 'rpc' });
        const [inferenceKey, managementKey] = [server.key('inference'), server.key('management')];
        for (const key of [undefined, 'abcd1234', inferenceKey, server.key('API')]) {
          const settings = key === undefined ? {} : { key };
          await assert.rejects(management.unary(registerModel, registering, settings), refused);
        }
        assert.equal(
          (await management.unary(registerModel, registering, { key: managementKey })).msg,
          'Model "rpc" Version: 1.0 registered with 1 initial workers',
        );
        for (const key of ['abcd1234', managementKey]) {
          await assert.rejects(inference.unary(predictions, predicting, { key }), refused);
        }
        const { prediction } = await inference.unary(predictions, predicting, { key: inferenceKey });
        assert.equal(Buffer.from(prediction).toString(), 'OK');
        await assert.rejects(management.unary(unregisterModel, unregistering, { key: inferenceKey }), refused);
        assert.equal(
          (await management.unary(unregisterModel, unregistering, { key: managementKey })).msg,
          'Model "rpc" unregistered',
        );
      },
    );

    behaviour('5.7', 'same', 'a rotated key is dead on gRPC at once, and Ping wants one when /ping does', async () => {
      const describing = create(describeModel.input, { modelName: 'noop' });
      const old = server.key('management');
      await management.unary(describeModel, describing, { key: old });
      assert.equal((await admin('/token?type=management', { headers: bearer('API') })).status, 200);
      await assert.rejects(management.unary(describeModel, describing, { key: old }), refused);
      await management.unary(describeModel, describing, { key: server.key('management') });
      await assert.rejects(inference.unary(ping, create(ping.input), {}), refused);
      const { health } = await inference.unary(ping, create(ping.input), { key: server.key('inference') });
      assert.equal(health, '{\n  "status": "Healthy"\n}');
    });

    behaviour(
      '13.4',
      'same',
      'gRPC registers from no URL that allowed_urls does not match, and from none with ..',
      async () => {
        const from = (url: string) =>
          management.unary(registerModel, create(registerModel.input, { url }), { key: server.key('management') });
        const foreign = 'https://torchserve.example/mar_files/mnist.mar';
        const notFound = 'org.pytorch.serve.archive.model.ModelNotFoundException';
        await assert.rejects(from(foreign), {
          code: 5,
          details: `Given URL ${foreign} does not match any allowed URL(s)\n${notFound}`,
        });
        await assert.rejects(from('../fake.mar'), {
          code: 5,
          details: `Relative path is not allowed in url: ../fake.mar\n${notFound}`,
        });
      },
    );
  });

  describe('that are guessed', () => {
    behaviour(
      '6.4',
      'stricter',
      'after twenty wrong keys an address gets 429 for wrong ones until it has waited; right ones pass',
      async () => {
        const guess = (): Promise<Exchanged> =>
          infer('/predictions/noop', { headers: { authorization: 'Bearer guess' } });
        const statuses: number[] = [];
        for (let at = 0; at < 40 && statuses.at(-1) !== 429; at += 1) statuses.push((await guess()).status);
        assert.equal(statuses.at(-1), 429);
        assert.ok(statuses.slice(0, -1).every((status) => status === 400));
        assert.equal((await infer('/predictions/noop', { headers: bearer('inference') })).status, 200);
      },
    );
  });
});

describe('switches in every place at once', () => {
  let store: TestStore;
  let server: RealServer;
  before(async () => {
    store = makeModelStore();
    store.add('noop', NOOP);
    server = await startRealServer({
      modelStore: store.dir,
      models: ['noop'],
      config: ['enable_envvars_config=true', 'disable_token_authorization=true', 'enable_model_api=true'],
      flags: ['--dt', '--enable-model-api'],
      env: { TS_DISABLE_TOKEN_AUTHORIZATION: 'false', TS_ENABLE_MODEL_API: 'false' },
    });
  });
  after(async () => {
    await server?.stop();
    store?.[Symbol.dispose]();
  });
  const admin = (path: string, method = 'GET'): Promise<Exchanged> => {
    const headers = { authorization: `Bearer ${server.key('management')}` };
    return exchange(server.management + path, { method, headers });
  };

  behaviour(
    '6.7',
    'same',
    'TS_DISABLE_TOKEN_AUTHORIZATION=false switches tokens on again over --dt and the file',
    async () => {
      isRefused(await exchange(`${server.management}/models`));
      assert.equal((await admin('/models')).status, 200);
    },
  );

  behaviour(
    '6.9',
    'same',
    'TS_ENABLE_MODEL_API=false switches the model API off again over the flag and the file',
    async () => {
      const disabled = errorBody(
        405,
        'MethodNotAllowedException',
        'Requested method is not allowed, please refer to API document.',
      );
      for (const [method, path] of [
        ['POST', '/models?url=noop'],
        ['POST', '/models'],
        ['DELETE', '/models/noop'],
        ['DELETE', '/models/none'],
      ] as const) {
        const answer = await admin(path, method);
        assert.deepEqual([answer.status, answer.text], [405, disabled]);
      }
    },
  );

  behaviour(
    '6.9',
    'same',
    'without the model API what was loaded at the start is served, and tokens and workflows answer as ever',
    async () => {
      const headers = { authorization: `Bearer ${server.key('inference')}` };
      assert.equal((await exchange(`${server.inference}/predictions/noop`, { headers })).text, 'OK');
      assert.equal((await admin('/workflows/w', 'DELETE')).status, 404);
      const api = { authorization: `Bearer ${server.key('API')}` };
      assert.equal((await exchange(`${server.management}/token?type=inference`, { headers: api })).status, 200);
    },
  );

  behaviour(
    '13.4',
    'same',
    'gRPC Register and Unregister say Model API disabled, and everything else goes on',
    async () => {
      const { registerModel, unregisterModel, scaleWorker, describeModel, listModels, setDefault } =
        ManagementAPIsService.method;
      using client = new GrpcClient(portOf(server.grpcManagement));
      const settings = { key: server.key('management') };
      const disabled = { code: 7, details: 'Model API disabled\norg.pytorch.serve.archive.model.ModelException' };
      await assert.rejects(
        client.unary(registerModel, create(registerModel.input, { url: 'noop' }), settings),
        disabled,
      );
      await assert.rejects(
        client.unary(unregisterModel, create(unregisterModel.input, { modelName: 'noop' }), settings),
        disabled,
      );
      assert.equal(
        (await client.unary(scaleWorker, create(scaleWorker.input, { modelName: 'noop', synchronous: true }), settings))
          .msg,
        'Workers scaled to 1 for model: noop',
      );
      assert.match(
        (await client.unary(describeModel, create(describeModel.input, { modelName: 'noop' }), settings)).msg,
        /"READY"/,
      );
      assert.match((await client.unary(listModels, create(listModels.input, { limit: 5 }), settings)).msg, /"noop"/);
      assert.equal(
        (await client.unary(setDefault, create(setDefault.input, { modelName: 'noop', modelVersion: '1.0' }), settings))
          .msg,
        'Default version successfully updated for model "noop" to "1.0"',
      );
    },
  );
});

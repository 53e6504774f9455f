// Token authorisation and model control (surface spec 6) against the real server, its key file and its log.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { describe } from 'node:test';
import { errorBody, startCompatServer } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { exchange, type Exchanged } from '../support/http-exchange.ts';
import { isRefused, KEY_REFUSED, keyFileIn, keysIn, TOKEN_REFUSED, type KeyFile } from '../support/key-file.ts';
import { eventually } from '../support/eventually.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { PROBE, type Probed } from '../support/probe-handlers.ts';
import { behaviour } from './behaviour.ts';

const WITH_TOKENS = 'disable_token_authorization=false';
const DISABLED = errorBody(
  405,
  'MethodNotAllowedException',
  'Requested method is not allowed, please refer to API document.',
);

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const fill = (store: TestStore): void => {
  store.add('probe', PROBE);
  store.add('noop', NOOP);
  store.add('tokenizer', NOOP);
};

describeWithServer('tokens', fill, { models: ['probe', 'tokenizer'], config: [WITH_TOKENS] }, (suite) => {
  const keys = (): KeyFile => keysIn(suite.server.dir);
  const infer = (path: string, authorization?: string): Promise<Exchanged> =>
    suite.server.infer(path, { headers: authorization === undefined ? {} : { authorization } });
  const admin = (path: string, authorization?: string, method = 'GET'): Promise<Exchanged> =>
    suite.server.admin(path, method, { headers: authorization === undefined ? {} : { authorization } });

  describe('the key file', () => {
    behaviour(
      '6.1',
      'same',
      'key_file.json in the working directory holds three keys, two of them with expiration time',
      () => {
        const text = readFileSync(keyFileIn(suite.server.dir), 'utf8');
        assert.equal(text, JSON.stringify(keys(), null, 2));
        assert.deepEqual(Object.keys(keys()), ['management', 'inference', 'API']);
        assert.deepEqual(Object.keys(keys().management), ['key', 'expiration time']);
        assert.deepEqual(Object.keys(keys().API), ['key']);
        const left = Date.parse(keys().inference['expiration time']) - Date.now();
        assert.ok(left > 55 * 60_000 && left <= 60 * 60_000);
      },
    );

    behaviour('6.1', 'same', 'only its owner may read it', () => {
      assert.equal(statSync(keyFileIn(suite.server.dir)).mode & 0o777, 0o600);
    });

    behaviour('6.1', 'stricter', 'keys are URL-safe base64 as before, with 256 bits instead of 48', () => {
      for (const { key } of Object.values(keys())) assert.match(key, /^[A-Za-z0-9_-]{43}$/);
    });

    behaviour('6.1', 'same', 'the start says where the keys are', () => {
      assert.match(suite.server.output(), /TorchServe now enforces token authorization by default\./);
      assert.match(suite.server.output(), /Key file located at .*key_file\.json/);
    });

    behaviour('6.1', 'stricter', 'no key appears in any log', () => {
      for (const { key } of Object.values(keys())) assert.ok(!suite.server.output().includes(key));
    });
  });

  describe('which key opens what', () => {
    behaviour(
      '13.4',
      'same',
      'describe works with the management key, and is 400 with a wrong one or none',
      async () => {
        assert.equal((await admin('/models/probe', `Bearer ${keys().management.key}`)).status, 200);
        isRefused(await admin('/models/probe', 'Bearer abcd1234'));
        isRefused(await admin('/models/probe'));
      },
    );

    behaviour('13.4', 'same', 'predictions work with the inference key, and are 400 with a wrong one', async () => {
      assert.equal((await infer('/predictions/probe', `Bearer ${keys().inference.key}`)).status, 200);
      isRefused(await infer('/predictions/probe', 'Bearer abcd1234'));
      isRefused(await infer('/predictions/probe'));
    });

    behaviour('6.3', 'same', 'keys are not interchangeable', async () => {
      const { management, inference, API } = keys();
      isRefused(await infer('/predictions/probe', `Bearer ${management.key}`));
      isRefused(await infer('/predictions/probe', `Bearer ${API.key}`));
      isRefused(await admin('/models', `Bearer ${inference.key}`));
      isRefused(await admin('/models', `Bearer ${API.key}`));
    });

    behaviour(
      '6.3',
      'same',
      'unknown paths, KServe and workflow routes and OPTIONS of a model want the key first',
      async () => {
        isRefused(await infer('/nothing'));
        isRefused(await suite.server.infer('/predictions/probe', { method: 'OPTIONS' }));
        isRefused(await infer('/v1/models/probe:predict'));
        isRefused(await infer('/token?type=inference'));
        isRefused(await admin('/nothing'));
        isRefused(await admin('/v1/models/probe'));
        isRefused(await admin('/workflows'));
      },
    );

    behaviour('6.3', 'same', 'the API description and the metrics on loopback want none', async () => {
      assert.equal((await suite.server.infer('/', { method: 'OPTIONS' })).status, 200);
      assert.equal((await infer('/api-description')).status, 200);
      assert.equal((await admin('/', undefined, 'OPTIONS')).status, 200);
      assert.equal((await infer('/')).status, 405);
      assert.equal((await exchange(`${suite.server.metrics}/metrics`)).status, 200);
    });

    behaviour(
      '6.3',
      'stricter',
      '/ping is open and says nothing but the state; ping_requires_token=true restores TorchServe',
      async () => {
        const answer = await infer('/ping');
        assert.deepEqual([answer.status, answer.text], [200, '{\n  "status": "Healthy"\n}\n']);
      },
    );

    behaviour(
      '6.2',
      'same',
      'the header is Bearer, in this case, then blanks, then the key, and nothing after',
      async () => {
        const { key } = keys().inference;
        assert.equal((await infer('/ping', `Bearer   ${key}`)).status, 200);
        assert.equal((await infer('/predictions/probe', `Bearer   ${key}`)).status, 200);
        for (const header of [`bearer ${key}`, `Bearer${key}`, key, `Bearer ${key} x`, `Basic ${key}`, '']) {
          isRefused(await infer('/predictions/probe', header));
        }
      },
    );

    behaviour('6.4', 'same', 'a refusal is 400 without WWW-Authenticate', async () => {
      const answer = await infer('/predictions/probe');
      assert.equal(answer.headers['www-authenticate'], undefined);
      assert.equal(answer.headers['content-type'], 'application/json');
    });

    behaviour(
      '6.5',
      'stricter',
      'only the path /token is the token API: a model whose name begins with token can be managed',
      async () => {
        assert.equal((await admin('/models/tokenizer', `Bearer ${keys().management.key}`)).status, 200);
      },
    );

    behaviour('2.5', 'stricter', 'the key does not reach the handler', async () => {
      const answer = await infer('/predictions/probe', `Bearer ${keys().inference.key}`);
      assert.equal(answer.json<Probed>().headers['authorization'], undefined);
      assert.ok(!answer.text.includes(keys().inference.key));
    });
  });

  describe('rotation', () => {
    behaviour(
      '13.4',
      'same',
      'GET /token?type=inference with the API key makes a new key; the old one is 400 at once',
      async () => {
        const old = keys();
        const answer = await admin('/token?type=inference', `Bearer ${old.API.key}`);
        assert.deepEqual([answer.status, answer.text], [200, '\n']);
        assert.deepEqual([answer.headers['content-type'], answer.headers['content-length']], ['application/json', '1']);
        assert.notEqual(keys().inference.key, old.inference.key);
        isRefused(await infer('/predictions/probe', `Bearer ${old.inference.key}`));
        assert.equal((await infer('/predictions/probe', `Bearer ${keys().inference.key}`)).status, 200);
      },
    );

    behaviour('6.5', 'same', 'rotating one key touches no other, by any method', async () => {
      const old = keys();
      assert.equal((await admin('/token?type=management', `Bearer ${old.API.key}`, 'POST')).status, 200);
      assert.notEqual(keys().management.key, old.management.key);
      assert.deepEqual([keys().inference, keys().API], [old.inference, old.API]);
    });

    behaviour('6.5', 'same', 'without the API key or a valid type it is 400, in words of its own', async () => {
      const api = `Bearer ${keys().API.key}`;
      isRefused(await admin('/token?type=inference'), TOKEN_REFUSED);
      isRefused(await admin('/token?type=inference', `Bearer ${keys().management.key}`), TOKEN_REFUSED);
      isRefused(await admin('/token', api), TOKEN_REFUSED);
      isRefused(await admin('/token?type=Inference', api), TOKEN_REFUSED);
    });
  });
});

describeWithServer(
  'keys that expire',
  fill,
  { models: ['noop'], config: [WITH_TOKENS, 'token_expiration_min=0.03'] },
  (suite) => {
    behaviour(
      '13.4',
      'same',
      'a key works, expires after token_expiration_min, and works again once rotated',
      async () => {
        const rotate = async (): Promise<string> => {
          const headers = bearer(suite.server.key('API'));
          assert.equal((await suite.server.admin('/token?type=inference', 'GET', { headers })).status, 200);
          return suite.server.key('inference');
        };
        const predict = (key: string): Promise<Exchanged> =>
          suite.server.infer('/predictions/noop', { headers: bearer(key) });
        // Waits for the worker too, which may take longer than the keys of the start live.
        await predict(await rotate());
        const key = await rotate();
        assert.equal((await predict(key)).status, 200);
        await eventually('the key expires', async () => (await predict(key)).text === KEY_REFUSED);
        const next = await rotate();
        assert.notEqual(next, key);
        assert.equal((await predict(next)).status, 200);
      },
    );
  },
);

describeWithServer('without tokens', fill, { models: ['noop'] }, (suite) => {
  behaviour('6.5', 'same', '/token does not exist when token authorisation is off', async () => {
    assert.equal((await suite.server.admin('/token?type=inference')).status, 404);
  });

  behaviour(
    '6.7',
    'same',
    'tokens are off by flag or file; the environment beats both where enable_envvars_config allows it',
    async () => {
      const openBy = async (
        config: readonly string[],
        flags: readonly string[],
        env: Record<string, string>,
      ): Promise<number> => {
        await using server = await startCompatServer({
          modelStore: suite.store.dir,
          config: [WITH_TOKENS, ...config],
          flags,
          env,
        });
        return (await server.admin('/models')).status;
      };
      const allowed = ['enable_envvars_config=true'];
      const statuses = await Promise.all([
        openBy([], ['--disable-token-auth'], {}),
        openBy(allowed, [], { TS_DISABLE_TOKEN_AUTHORIZATION: 'true' }),
        openBy(allowed, ['--disable-token-auth'], { TS_DISABLE_TOKEN_AUTHORIZATION: 'false' }),
        openBy([], [], { TS_DISABLE_TOKEN_AUTHORIZATION: 'true' }),
      ]);
      assert.deepEqual(statuses, [200, 200, 400, 400]);
    },
  );
});

describeWithServer('model control', fill, { models: ['noop'], config: ['enable_model_api=false'] }, (suite) => {
  behaviour(
    '13.4',
    'same',
    'with the model API off, registering and unregistering are 405 and change nothing',
    async () => {
      const before = (await suite.server.admin('/models')).text;
      for (const [method, path] of [
        ['POST', '/models?url=probe'],
        ['DELETE', '/models/noop'],
        ['DELETE', '/models/noop/1.0'],
      ] as const) {
        const answer = await suite.server.admin(path, method);
        assert.deepEqual([answer.status, answer.text], [405, DISABLED]);
      }
      assert.equal((await suite.server.admin('/models')).text, before);
    },
  );

  behaviour('6.9', 'same', 'scaling, describing, listing and set-default stay available', async () => {
    assert.equal((await suite.server.admin('/models/noop?min_worker=1&synchronous=true', 'PUT')).status, 200);
    assert.equal((await suite.server.admin('/models/noop')).status, 200);
    assert.equal((await suite.server.admin('/models/noop/1.0/set-default', 'PUT')).status, 200);
  });

  behaviour('6.9', 'same', 'the flag --enable-model-api switches it on, and so does the environment', async () => {
    const by = async (
      config: readonly string[],
      flags: readonly string[],
      env: Record<string, string>,
    ): Promise<number> => {
      await using server = await startCompatServer({
        modelStore: suite.store.dir,
        config: ['enable_model_api=false', ...config],
        flags,
        env,
      });
      return (await server.admin('/models?url=noop&initial_workers=0', 'POST')).status;
    };
    assert.deepEqual(
      await Promise.all([
        by([], ['--enable-model-api'], {}),
        by(['enable_envvars_config=true'], [], { TS_ENABLE_MODEL_API: 'true' }),
        by([], [], { TS_ENABLE_MODEL_API: 'true' }),
      ]),
      [200, 200, 405],
    );
  });
});

// What the doors make of HTTP (surface spec sections 2, 3 and 6) where only the planes behind them can show it: these are
// scripted, the sockets are real. What a client can see by itself is shown on the real server, in the files beside this one.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { RegisterRequest, ScaleRequest } from '../../src/serving/index.ts';
import { KEYS, RawClient, bearer, openDoor, type OpenDoor } from '../support/http-doors.ts';
import { behaviour } from './behaviour.ts';

const NOT_FOUND = 'Requested resource is not found, please refer to API document.';
const NOT_ALLOWED = 'Requested method is not allowed, please refer to API document.';
const BAD_KEY = 'Token Authorization failed. Token either incorrect, expired, or not provided correctly';
const BAD_TOKEN_KEY = 'Token Authentication failed. Token either incorrect, expired, or not provided correctly';

describe('inference', () => {
  const routes: Record<string, readonly [string, string, string | undefined, Record<string, string>]> = {
    '/predictions/m': ['predict', 'm', undefined, { url_path: '', explain: 'False' }],
    '/predictions/m/': ['predict', 'm', undefined, { url_path: '', explain: 'False' }],
    '/predictions/m/1.0': ['predict', 'm', '1.0', { url_path: '', explain: 'False' }],
    '/predictions/m/1.0/v1/chat/completion?a=b': [
      'predict',
      'm',
      '1.0',
      { url_path: 'v1/chat/completion', explain: 'False' },
    ],
    '/predictions/a%20b/1%2E0': ['predict', 'a b', '1.0', { url_path: '', explain: 'False' }],
    '/explanations/m': ['explain', 'm', undefined, { url_path: '', explain: 'True' }],
    '/explanations/m/2/x': ['explain', 'm', '2', { url_path: 'x', explain: 'True' }],
    '/invocations?model_name=m': ['predict', 'm', undefined, {}],
    '/models/m/invoke': ['predict', 'm', undefined, {}],
    '/m/predict': ['predict', 'm', undefined, {}],
    '/m/1.0/predict': ['predict', 'm', '1.0', {}],
    '/v1/models/m:predict': ['predict', 'm', undefined, { explain: 'False' }],
    '/v1/models/m:explain': ['explain', 'm', undefined, { explain: 'True' }],
    '/v2/models/m/infer': ['predict', 'm', undefined, { explain: 'False' }],
    '/v2/models/m/explain': ['explain', 'm', undefined, { explain: 'True' }],
  };

  behaviour(
    '2.1',
    'same',
    'every route gives the data path the operation, model and version of its path, by every method',
    async () => {
      await using door = await openDoor('inference');
      for (const [path, [operation, model, version, added]] of Object.entries(routes)) {
        for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
          const answer = await call(door, path, { method, headers: { explain: 'x', Describe: 'True', URL_PATH: 'x' } });
          assert.equal(answer.status, 200, path);
          const seen = door.plane.requests.at(-1);
          assert.deepEqual([seen?.operation, seen?.model, seen?.version], [operation, model, version], path);
          const special = (seen?.headers ?? []).filter(([name]) => /^(explain|describe|url_path)$/i.test(name));
          assert.deepEqual(Object.fromEntries(special), added, path);
          assert.equal(answer.headers.get('x-request-id'), seen?.requestId);
        }
      }
    },
  );

  behaviour(
    '2.8',
    'stricter',
    'a client can name its sequence, but not mark a request as the first of one',
    async () => {
      await using door = await openDoor('inference');
      using client = new RawClient(door.port);
      const auth = `Authorization: Bearer ${KEYS.inference}`;
      client.write(
        `GET /predictions/m HTTP/1.1\r\nHost: localhost\r\n${auth}\r\nX-MiXed: 1\r\nx-mixed: 2\r\nts_request_sequence_id: s\r\nts_request_sequence_start: true\r\n\r\n`,
      );
      await client.until(/200/);
      const [request] = door.plane.requests;
      assert.deepEqual(request?.headers, [
        ['Host', 'localhost'],
        ['X-MiXed', '1'],
        ['x-mixed', '2'],
        ['ts_request_sequence_id', 's'],
        ['url_path', ''],
        ['explain', 'False'],
      ]);
      assert.equal(request?.sequenceId, 's');
    },
  );

  behaviour(
    '2.3',
    'stricter',
    'the head of an answer has nothing guessed, and x-content-type-options: nosniff beside the fixed headers',
    async () => {
      await using door = await openDoor('inference', {
        options: { corsAllowedOrigin: 'https://a', corsAllowedHeaders: 'X' },
      });
      using client = new RawClient(door.port);
      client.write(
        `GET /predictions/m HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEYS.inference}\r\nx-request-id: mine\r\n\r\n`,
      );
      const text = await client.until(/\r\n\r\n/);
      const id = door.plane.requests[0]?.requestId;
      assert.match(id ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      assert.equal(
        text,
        `HTTP/1.1 200 \r\nx-request-id: ${id}\r\nPragma: no-cache\r\nCache-Control: no-cache; no-store, must-revalidate, private\r\n` +
          'Expires: Thu, 01 Jan 1970 00:00:00 UTC\r\nx-content-type-options: nosniff\r\nconnection: keep-alive\r\ncontent-length: 0\r\n' +
          'access-control-allow-origin: https://a\r\naccess-control-allow-headers: X\r\n\r\n',
      );
    },
  );
});

describe('keys', () => {
  behaviour('6.3', 'same', 'a key opens its own listener and no other, before that says what exists', async () => {
    await using inference = await openDoor('inference');
    await using management = await openDoor('management', { management: { list: () => ({ models: [] }) } });
    for (const path of ['/predictions/m', '/nowhere', '/token', '/metrics']) {
      for (const key of [KEYS.management, KEYS.API, 'wrong', undefined]) {
        await refuses(await call(inference, path, {}, key), 400, 'InvalidKeyException', BAD_KEY);
      }
    }
    for (const path of ['/models', '/nowhere', '/v1/models/m', '/workflows']) {
      for (const key of [KEYS.inference, KEYS.API, undefined]) {
        await refuses(await call(management, path, {}, key), 400, 'InvalidKeyException', BAD_KEY);
      }
    }
    await refuses(await call(inference, '/token'), 404, 'ResourceNotFoundException', NOT_FOUND);
    for (const door of [inference, management]) {
      assert.equal((await call(door, '/', { method: 'OPTIONS' }, undefined)).status, 200);
      assert.equal((await call(door, '/api-description', {}, undefined)).status, 200);
      await refuses(await call(door, '/', {}, undefined), 405, 'MethodNotAllowedException', NOT_ALLOWED);
    }
  });

  behaviour('6.4', 'stricter', 'auth_failure_status=rfc answers 401 and 403 in place of 400', async () => {
    await using door = await openDoor('inference', { options: { authFailureStatus: 'rfc' } });
    const missing = await call(door, '/predictions/m', {}, undefined);
    assert.equal(missing.headers.get('www-authenticate'), 'Bearer');
    await refuses(missing, 401, 'InvalidKeyException', BAD_KEY);
    await refuses(await call(door, '/predictions/m', {}, KEYS.management), 403, 'InvalidKeyException', BAD_KEY);
  });

  behaviour('6.3', 'stricter', 'a key for one model opens that model only, wherever its name stands', async () => {
    const register = async () => ({ status: 200, message: 'ok' }) as const;
    await using door = await openDoor('combined', { options: { isModelApiEnabled: true }, management: { register } });
    assert.equal((await call(door, '/predictions/a', {}, KEYS.modelA)).status, 200);
    assert.equal((await call(door, '/invocations?model_name=a', {}, KEYS.modelA)).status, 200);
    assert.equal((await call(door, '/models?url=x&model_name=a', { method: 'POST' }, KEYS.modelA)).status, 200);
    for (const path of ['/predictions/b', '/invocations?model_name=b', '/b/predict', '/v2/models/b/infer', '/models']) {
      await refuses(await call(door, path, {}, KEYS.modelA), 400, 'InvalidKeyException', BAD_KEY);
    }
    for (const path of ['/models?url=x&model_name=b', '/models?url=x']) {
      await refuses(await call(door, path, { method: 'POST' }, KEYS.modelA), 400, 'InvalidKeyException', BAD_KEY);
    }
  });

  behaviour('6.5', 'same', 'keys are rotated at /token with the API key, and the answer holds none', async () => {
    await using door = await openDoor('management');
    const answer = await call(door, '/token?type=inference', {}, KEYS.API);
    assert.deepEqual([answer.status, answer.headers.get('content-length'), await answer.text()], [200, '1', '\n']);
    assert.deepEqual(door.rotated, ['inference']);
    for (const [path, key] of [
      ['/token', KEYS.API],
      ['/token?type=API', KEYS.API],
      ['/token?type=Inference', KEYS.API],
      ['/token?type=inference', KEYS.management],
      ['/token?type=inference', undefined],
    ] as const) {
      await refuses(await call(door, path, {}, key), 400, 'InvalidKeyException', BAD_TOKEN_KEY);
    }
    await using open = await openDoor('management', { isAuthDisabled: true });
    await refuses(
      await call(open, '/token?type=inference', {}, undefined),
      404,
      'ResourceNotFoundException',
      NOT_FOUND,
    );
  });
});

describe('management', () => {
  behaviour(
    '3',
    'same',
    'parameters reach the control plane with TorchServe’s defaults, and each change is one audit line',
    async () => {
      const seen: unknown[] = [];
      const outcome = { status: 202, message: 'Processing worker updates...' } as const;
      const note = async (...what: unknown[]) => {
        seen.push(what);
        return outcome;
      };
      await using door = await openDoor('management', {
        options: { isModelApiEnabled: true },
        management: {
          register: (request: RegisterRequest) => note('register', request),
          scale: (request: ScaleRequest) => note('scale', request),
          setDefault: (name, version) => note('default', name, version),
          unregister: (name, version) => note('unregister', name, version),
        },
      });
      const cases: [string, string, unknown[]][] = [
        ['POST', '/models?url=a.mar', ['register', { url: 'a.mar', isSynchronous: true }]],
        [
          'PUT',
          '/models/m?min_worker=nan',
          ['scale', { modelName: 'm', version: undefined, minWorkers: 1, maxWorkers: 1, isSynchronous: false }],
        ],
        [
          'PUT',
          '/models/m?min_worker=3&model_version=2&synchronous=True',
          ['scale', { modelName: 'm', version: '2', minWorkers: 3, maxWorkers: 3, isSynchronous: true }],
        ],
        [
          'PUT',
          '/models/m/1.0?min_worker=2&max_worker=-1&number_gpu=9',
          ['scale', { modelName: 'm', version: '1.0', minWorkers: 2, maxWorkers: -1, isSynchronous: false }],
        ],
        ['PUT', '/models/m/1.0/set-default', ['default', 'm', '1.0']],
        ['DELETE', '/models/m/?synchronous=junk&timeout=-1', ['unregister', 'm', undefined]],
        ['DELETE', '/models/m/1.0', ['unregister', 'm', '1.0']],
      ];
      for (const [method, path, expected] of cases) {
        const answer = await call(door, path, { method }, KEYS.management);
        assert.equal(answer.status, 202, path);
        assert.equal(await answer.text(), '{\n  "status": "Processing worker updates..."\n}\n');
        assert.deepEqual(seen.pop(), expected, path);
      }
      assert.deepEqual(
        new Set(door.audit.map(({ action }) => action)),
        new Set(['register', 'scale', 'set_default', 'unregister']),
      );
      assert.ok(door.audit.every(({ principal, outcome }) => principal === 'management' && outcome === 'allowed'));
    },
  );

  behaviour(
    '3.3',
    'stricter',
    'a customized describe passes on the client’s headers, but neither the key nor what only the server says',
    async () => {
      let seen: readonly string[] = [];
      await using door = await openDoor('management', {
        management: {
          describeCustomized: async (name, _version, headers) => {
            seen = headers.map(([header]) => header);
            return [{ modelName: name, customizedMetadata: {} }];
          },
        },
      });
      const headers = { describe: 'False', explain: 'True', url_path: 'x', 'X-Mine': 'kept' };
      assert.equal((await call(door, '/models/m?customized=TRUE', { headers }, KEYS.management)).status, 200);
      const lower = new Set(seen.map((header) => header.toLowerCase()));
      assert.ok(lower.has('x-mine'));
      for (const name of ['authorization', 'describe', 'explain', 'url_path']) assert.ok(!lower.has(name), name);
    },
  );

  behaviour('3.7', 'same', 'a disabled model API looks exactly like a wrong method', async () => {
    await using door = await openDoor('management');
    for (const [method, path] of [
      ['POST', '/models?url=x'],
      ['DELETE', '/models/m'],
      ['DELETE', '/models/m/1'],
      ['PUT', '/models'],
      ['DELETE', '/models'],
      ['POST', '/models/m'],
      ['PATCH', '/models/m'],
      ['GET', '/models/m/1/set-default'],
      ['DELETE', '/models/m/1/set-default'],
      ['POST', '/v1/models/m'],
      ['PUT', '/workflows'],
      ['PUT', '/workflows/w'],
    ] as const) {
      await refuses(await call(door, path, { method }, KEYS.management), 405, 'MethodNotAllowedException', NOT_ALLOWED);
    }
    for (const path of ['/nowhere', '/models/m/1/2/3', '/ping', '/predictions/m', '/metrics']) {
      await refuses(await call(door, path, {}, KEYS.management), 404, 'ResourceNotFoundException', NOT_FOUND);
    }
  });
});

describe('the other listeners', () => {
  behaviour('4.1', 'same', 'metrics are open on loopback, and filtered by name[]', async () => {
    await using door = await openDoor('metrics');
    const answer = await call(door, '/metrics', {}, undefined);
    assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    assert.equal(await answer.text(), 'names all\n');
    assert.equal(await (await call(door, '/metrics?name[]=a&name%5B%5D=b', {}, undefined)).text(), 'names a,b\n');
    await refuses(await call(door, '/models', {}, undefined), 404, 'ResourceNotFoundException', NOT_FOUND);
    assert.deepEqual(Object.keys((await documentOf(call(door, '/', { method: 'OPTIONS' }, undefined))).paths), [
      '/metrics',
    ]);
  });

  behaviour('4.1', 'stricter', 'metrics beyond loopback need a key with the metrics verb', async () => {
    await using door = await openDoor('metrics', { options: { doMetricsRequireToken: true } });
    await refuses(await call(door, '/metrics', {}, undefined), 400, 'InvalidKeyException', BAD_KEY);
    await refuses(await call(door, '/metrics', {}, KEYS.inference), 400, 'InvalidKeyException', BAD_KEY);
    assert.equal((await call(door, '/metrics', {}, KEYS.management)).status, 200);
  });

  behaviour(
    '1.4',
    'stricter',
    'one address for all asks for the key of the route that matches, so that tokens work there',
    async () => {
      await using door = await openDoor('combined', {
        management: { describe: async (name, version) => [{ name, version }], list: () => ({ models: [] }) },
      });
      assert.equal((await call(door, '/predictions/m', {}, KEYS.inference)).status, 200);
      assert.equal((await call(door, '/models', {}, KEYS.management)).status, 200);
      assert.deepEqual(await (await call(door, '/models/m/1.0', {}, KEYS.management)).json(), [
        { name: 'm', version: '1.0' },
      ]);
      assert.equal((await call(door, '/models/m/invoke', {}, KEYS.inference)).status, 200);
      assert.equal((await call(door, '/token?type=inference', {}, KEYS.API)).status, 200);
      assert.equal((await call(door, '/metrics', {}, undefined)).status, 200);
      await refuses(await call(door, '/models', {}, KEYS.inference), 400, 'InvalidKeyException', BAD_KEY);
      await refuses(await call(door, '/predictions/m', {}, KEYS.management), 400, 'InvalidKeyException', BAD_KEY);
      await refuses(await call(door, '/nowhere', {}, KEYS.inference), 404, 'ResourceNotFoundException', NOT_FOUND);
    },
  );
});

async function call(
  door: OpenDoor,
  path: string,
  init: RequestInit = {},
  key: string | undefined = arguments.length < 4 ? KEYS.inference : undefined,
): Promise<Response> {
  const headers = new Headers(init.headers);
  // A body of bytes has no media type of its own; fetch adds none either.
  if (key !== undefined) headers.set('authorization', bearer(key).authorization);
  return fetch(`http://127.0.0.1:${door.port}${path}`, { ...init, headers });
}

async function documentOf(answer: Promise<Response>): Promise<{ info: { title: string }; paths: object }> {
  return JSON.parse(await (await answer).text());
}

async function refuses(answer: Response, code: number, type: string, message?: string): Promise<void> {
  assert.equal(answer.status, code, answer.url);
  const text = await answer.text();
  const body = JSON.parse(text);
  assert.equal(text, `${JSON.stringify(body, null, 2)}\n`);
  assert.deepEqual([body.code, body.type], [code, type]);
  if (message !== undefined) assert.equal(body.message, message);
}

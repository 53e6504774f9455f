// The HTTP surface as TorchServe's clients know it (surface spec sections 1, 2, 3, 6), against scripted planes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Fault } from '../../src/kernel/index.ts';
import type { RegisterRequest, ScaleRequest } from '../../src/serving/index.ts';
import { KEYS, RawClient, bearer, openDoor, reply, type OpenDoor } from '../support/http-doors.ts';

const NOT_FOUND = 'Requested resource is not found, please refer to API document.';
const NOT_ALLOWED = 'Requested method is not allowed, please refer to API document.';
const BAD_KEY = 'Token Authorization failed. Token either incorrect, expired, or not provided correctly';
const BAD_TOKEN_KEY = 'Token Authentication failed. Token either incorrect, expired, or not provided correctly';

describe('the inference routes (2.1)', () => {
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

  test('run the named model with every method', async () => {
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
  });

  test('describe the model instead when asked by OPTIONS', async () => {
    await using door = await openDoor('inference');
    for (const path of Object.keys(routes).filter((known) => !known.startsWith('/invocations'))) {
      const document = await documentOf(call(door, path, { method: 'OPTIONS' }));
      assert.match(document.info.title, /^RESTful API for: (m|a b)$/, path);
    }
    assert.deepEqual(door.plane.requests, []);
  });

  test('are not found beside these', async () => {
    await using door = await openDoor('inference');
    for (const path of [
      '/predictions',
      '/explanations/',
      '/models',
      '/models/m',
      '/models/m/other',
      '/metrics',
      '/token',
      '/v2',
      '/v2/health/live',
      '/v1/models/m',
      '/wfpredict',
      '/m/predictx',
      '/workflows',
    ]) {
      await refuses(await call(door, path), 404, 'ResourceNotFoundException', NOT_FOUND);
    }
    await refuses(await call(door, '/WFpredict/w'), 404, 'WorkflowNotFoundException', 'Workflow not found: w');
    await refuses(await call(door, '/predictions/%ff'), 400, 'BadRequestException');
  });

  test('take the model of /invocations from the query, the form, or the only one at start', async () => {
    await using door = await openDoor('inference');
    const form = new FormData();
    form.set('model_name', 'from-form');
    assert.equal((await call(door, '/invocations', { method: 'POST', body: form })).status, 200);
    assert.equal(door.plane.requests[0]?.model, 'from-form');
    await refuses(await call(door, '/invocations'), 400, 'BadRequestException', 'Parameter model_name is required.');
    await using sole = await openDoor('inference', { soleStartupModel: 'only' });
    assert.equal((await call(sole, '/invocations')).status, 200);
    assert.equal(sole.plane.requests[0]?.model, 'only');
  });

  test('offer the Open Inference Protocol only when told to (2.9)', async () => {
    await using door = await openDoor('inference', {
      options: { isOpenInferenceProtocolEnabled: true, serverVersion: '0.12.0' },
    });
    assert.equal(await (await call(door, '/v2/health/ready')).text(), '{\n  "ready": true\n}\n');
    assert.deepEqual(await (await call(door, '/v2/health/live')).json(), { live: true });
    assert.deepEqual(await (await call(door, '/v2')).json(), {
      name: 'Torchserve',
      version: '0.12.0',
      extenstion: ['kserve', 'kubeflow'],
    });
    const versioned = await call(door, '/v2/models/m/versions/1/infer');
    assert.deepEqual(
      [versioned.status, await versioned.json()],
      [501, { error: 'Model versioning is not yet supported.' }],
    );
  });
});

describe('the mapping of a request to data (2.4, 2.5)', () => {
  test('follows the body form, and the query only on the routes that pass it on', async () => {
    await using door = await openDoor('inference');
    const form = new FormData();
    form.set('data', new Blob(['JPEG'], { type: 'image/jpeg' }), 'k.jpg');
    form.set('plain', 'text');
    const cases: [string, RequestInit, (readonly [string, string | undefined, string])[]][] = [
      ['/predictions/m?q=1', { body: Buffer.from('raw') }, [['body', undefined, 'raw']]],
      ['/predictions/m', {}, [['body', undefined, '']]],
      [
        '/predictions/m',
        { body: '{}', headers: { 'Content-Type': 'application/json; charset=utf-8' } },
        [['body', 'application/json', '{}']],
      ],
      [
        '/predictions/m',
        { body: new URLSearchParams({ a: '1 &', b: '' }) },
        [
          ['a', undefined, '1 &'],
          ['b', undefined, ''],
        ],
      ],
      [
        '/predictions/m',
        { body: form },
        [
          ['data', 'image/jpeg', 'JPEG'],
          ['plain', undefined, 'text'],
        ],
      ],
      [
        '/models/m/invoke?q=a%20b',
        { body: Buffer.from('raw') },
        [
          ['q', undefined, 'a b'],
          ['body', undefined, 'raw'],
        ],
      ],
      [
        '/m/predict?q=1',
        {},
        [
          ['q', undefined, '1'],
          ['body', undefined, ''],
        ],
      ],
    ];
    for (const [path, init, parts] of cases) {
      assert.equal((await call(door, path, { method: 'POST', ...init })).status, 200);
      const seen = door.plane.requests.at(-1)?.parts ?? [];
      assert.deepEqual(
        seen.map(({ name, contentType, chunks }) => [name, contentType, Buffer.concat(chunks).toString()]),
        parts,
        path,
      );
    }
  });

  test('keeps the spelling of headers and the last of a repeated one, and reads the sequence exactly as named', async () => {
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
  });
});

describe('answers (2.3, 2.6, 2.7, 2.10)', () => {
  test('carry the common headers, and nothing guessed', async () => {
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
  });

  test('carry what the handler chose: status, phrase, type and headers', async () => {
    await using door = await openDoor('inference');
    const chosen = { status: 513, phrase: 'Odd', contentType: 'text/plain', headers: [['dummy', '1']] as const };
    door.plane.answer = (_request, outlet) => outlet.send(reply('own body', chosen), true);
    const answer = await call(door, '/predictions/m');
    assert.deepEqual([answer.status, answer.statusText, await answer.text()], [513, 'Odd', 'own body']);
    assert.deepEqual([answer.headers.get('content-type'), answer.headers.get('dummy')], ['text/plain', '1']);
    assert.equal(answer.headers.get('connection'), 'close');
  });

  test('come in pieces when streamed, with the head of the first, and keep the connection', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = (_request, outlet) => {
      outlet.send(reply('hello', { headers: [['ts_stream_next', 'true']] }), false);
      outlet.send(reply('hello', { status: 500, headers: [['late', '1']] }), false);
      outlet.send(reply(' world', { headers: [['ts_stream_next', 'false']] }), true);
    };
    using client = new RawClient(door.port);
    const request = `GET /predictions/m HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEYS.inference}\r\n\r\n`;
    client.write(request);
    const text = await client.until(/\r\n0\r\n\r\n/);
    assert.match(
      text,
      /^HTTP\/1\.1 200 [^]*connection: keep-alive\r\ntransfer-encoding: chunked\r\nts_stream_next: true\r\n\r\n5\r\nhello\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n$/,
    );
    client.write(request);
    await client.until(/\r\n0\r\n\r\n[^]*\r\n0\r\n\r\n/);
    assert.equal(door.access.length >= 1, true);
  });

  test('are closed, not chunked, for a client of HTTP/1.0', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = (_request, outlet) => {
      outlet.send(reply('a'), false);
      outlet.send(reply('b'), true);
    };
    using client = new RawClient(door.port);
    client.write(
      `GET /predictions/m HTTP/1.0\r\nAuthorization: Bearer ${KEYS.inference}\r\nConnection: keep-alive\r\n\r\n`,
    );
    await client.closed;
    assert.match(client.text, /connection: close\r\n\r\nab$/);
    assert.doesNotMatch(client.text, /transfer-encoding/i);
  });

  test('of failures have the documented shape and close the connection', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = () => {
      throw new Fault('model_not_found', 'Model not found: m');
    };
    const answer = await call(door, '/predictions/m');
    assert.equal(answer.headers.get('connection'), 'close');
    assert.equal(answer.headers.get('content-type'), 'application/json');
    await refuses(answer, 404, 'ModelNotFoundException', 'Model not found: m');
  });
});

describe('health (2.2)', () => {
  test('is open, constant, and 500 when not healthy', async () => {
    for (const [isHealthy, status, word] of [
      [true, 200, 'Healthy'],
      [false, 500, 'Unhealthy'],
    ] as const) {
      await using door = await openDoor('inference', { isHealthy });
      for (const path of ['/ping', '/ping/x']) {
        const answer = await fetch(`http://127.0.0.1:${door.port}${path}`);
        assert.equal(answer.status, status);
        assert.equal(await answer.text(), `{\n  "status": "${word}"\n}\n`);
      }
    }
  });

  test('needs the inference key when configured as TorchServe has it', async () => {
    await using door = await openDoor('inference', { options: { doesPingRequireToken: true } });
    await refuses(await fetch(`http://127.0.0.1:${door.port}/ping`), 400, 'InvalidKeyException', BAD_KEY);
    assert.equal((await call(door, '/ping')).status, 200);
  });
});

describe('keys (6.3, 6.4)', () => {
  test('open their own listener and no other, before it says what exists', async () => {
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

  test('answer 401 and 403 when configured so', async () => {
    await using door = await openDoor('inference', { options: { authFailureStatus: 'rfc' } });
    const missing = await call(door, '/predictions/m', {}, undefined);
    assert.equal(missing.headers.get('www-authenticate'), 'Bearer');
    await refuses(missing, 401, 'InvalidKeyException', BAD_KEY);
    await refuses(await call(door, '/predictions/m', {}, KEYS.management), 403, 'InvalidKeyException', BAD_KEY);
  });

  test('with a scope for one model open that model only, wherever its name stands', async () => {
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

  test('are rotated at /token with the API key (6.5)', async () => {
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

describe('the management routes (3)', () => {
  test('pass on what was asked, with TorchServe’s defaults', async () => {
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
  });

  test('read registrations from a JSON body alone', async () => {
    const seen: RegisterRequest[] = [];
    const register = async (request: RegisterRequest) => {
      seen.push(request);
      return { status: 200, message: 'ok' } as const;
    };
    await using door = await openDoor('management', { options: { isModelApiEnabled: true }, management: { register } });
    const post = (body: string) =>
      call(
        door,
        '/models?url=query',
        { method: 'POST', body, headers: { 'content-type': 'application/json' } },
        KEYS.management,
      );
    assert.equal((await post('{"url":"body.mar","batch_size":2}')).status, 200);
    assert.deepEqual(seen, [{ url: 'body.mar', batchSize: 2, isSynchronous: true }]);
    await refuses(await post('{'), 500, 'JsonSyntaxException');
    await refuses(await post(''), 500, 'NullPointerException');
  });

  test('describe, customise, list and tell readiness', async () => {
    const seen: unknown[] = [];
    await using door = await openDoor('management', {
      management: {
        describe: async (name, version) => [{ modelName: name, modelVersion: version ?? 'default' }],
        describeCustomized: async (name, version, headers) => {
          seen.push([name, version, headers.some(([header]) => /describe|authorization/i.test(header))]);
          return [{ modelName: name, customizedMetadata: {} }];
        },
        list: (limit, pageToken) => ({
          nextPageToken: String(limit + pageToken),
          models: [{ modelName: 'm', modelUrl: 'm.mar' }],
        }),
        hasWorkers: (name) => {
          if (name === 'absent') throw new Fault('model_not_found', 'Model not found: absent');
          return name === 'm';
        },
      },
    });
    const get = async (path: string) =>
      (await call(door, path, { headers: { describe: 'x' } }, KEYS.management)).text();
    assert.equal(await get('/models/m'), '[\n  {\n    "modelName": "m",\n    "modelVersion": "default"\n  }\n]\n');
    assert.match(await get('/models/m/all?customized=true'), /"modelVersion": "all"/);
    assert.match(await get('/models/m/1.0?customized=TRUE'), /"customizedMetadata": \{\}/);
    assert.deepEqual(seen, [['m', '1.0', false]]);
    for (const [query, token] of [
      ['', '100'],
      ['?limit=2&next_page_token=4', '6'],
      ['?limit=101', '100'],
      ['?limit=-1', '100'],
      ['?limit=0', '0'],
      ['?limit=&next_page_token=', '100'],
      ['?next_page_token=-5', '100'],
    ] as const) {
      assert.equal(JSON.parse(await get(`/models${query}`)).nextPageToken, token, query);
    }
    assert.equal(await get('/v1/models/m'), '{\n  "name": "m",\n  "ready": true\n}\n');
    assert.equal(JSON.parse(await get('/v1/models/other')).ready, false);
    await refuses(
      await call(door, '/v1/models/absent', {}, KEYS.management),
      404,
      'ModelNotFoundException',
      'Model not found: absent',
    );
    const document = await documentOf(call(door, '/models/m', { method: 'OPTIONS' }, KEYS.management));
    assert.equal(document.info.title, 'RESTful Management API for: m');
    assert.equal(Object.keys(document.paths).length, 3);
  });

  test('hide the model API exactly like a wrong method (3.7, 6.9)', async () => {
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

  test('treat workflows as 0.12 does (12.1)', async () => {
    await using door = await openDoor('management');
    const send = (method: string, path: string) => call(door, path, { method }, KEYS.management);
    await refuses(
      await send('POST', '/workflows?url=w.war'),
      400,
      'BadRequestException',
      'Registering new workflows is disabled.',
    );
    assert.equal(await (await send('GET', '/workflows')).text(), '{\n  "workflows": []\n}\n');
    for (const method of ['GET', 'DELETE']) {
      await refuses(await send(method, '/workflows/w'), 404, 'WorkflowNotFoundException', 'Workflow not found: w');
    }
  });
});

describe('the other listeners', () => {
  test('metrics are open on loopback and filtered by name[] (4.1)', async () => {
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

  test('metrics need a key with the metrics verb where that is configured', async () => {
    await using door = await openDoor('metrics', { options: { doMetricsRequireToken: true } });
    await refuses(await call(door, '/metrics', {}, undefined), 400, 'InvalidKeyException', BAD_KEY);
    await refuses(await call(door, '/metrics', {}, KEYS.inference), 400, 'InvalidKeyException', BAD_KEY);
    assert.equal((await call(door, '/metrics', {}, KEYS.management)).status, 200);
  });

  test('one address for all asks for the key of the route that matches (1.4)', async () => {
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
  });

  test('every exchange is announced once, with its status and target', async () => {
    await using door = await openDoor('inference');
    await (await call(door, '/predictions/m?a=b')).text();
    await (await call(door, '/nowhere')).text();
    while (door.access.length < 2) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(
      door.access.map(({ listener, method, target, protocol, status }) => [listener, method, target, protocol, status]),
      [
        ['inference', 'GET', '/predictions/m?a=b', 'HTTP/1.1', 200],
        ['inference', 'GET', '/nowhere', 'HTTP/1.1', 404],
      ],
    );
    assert.match(door.access[0]?.remote ?? '', /^127\.0\.0\.1:\d+$/);
  });
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

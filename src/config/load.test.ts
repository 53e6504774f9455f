import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { KEY_NAMES, KEYS, type KeyName } from './keys/index.ts';
import { loadSettings } from './load.ts';
import type { Sources } from './resolve.ts';
import type { Settings } from './settings.ts';

const facts = { cwd: '/srv', tempDir: '/tmp', stateHome: '/state/davy', pathExists: () => false };

const load = (text = '', more: Partial<Sources> = {}): Settings =>
  loadSettings({ file: { name: 'config.properties', text }, env: {}, ...more }, facts);

const flags = (entries: Partial<Record<KeyName, string>>): NonNullable<Sources['flags']> =>
  new Map(Object.entries(entries).map(([key, text]) => [key as KeyName, { flag: `--${key}`, text }]));

const refused = (action: () => unknown, message?: RegExp): void => {
  assert.throws(action, (fault: unknown) => {
    assert.ok(fault instanceof Fault);
    assert.equal(fault.code, 'invalid_configuration');
    if (message !== undefined) assert.match(fault.message, message);
    return true;
  });
};

describe('defaults', () => {
  test('are TorchServe’s, on loopback, with tokens and without any URL', () => {
    const settings = load();
    assert.equal(settings.inference.address.text, 'http://127.0.0.1:8080');
    assert.equal(settings.auth.requiresToken, true);
    assert.equal(settings.auth.isModelApiEnabled, false);
    assert.equal(settings.http.maxRequestBytes, 6_553_500);
    assert.equal(settings.queue.maxJobs, 100);
    assert.deepEqual(settings.models.allowedUrls, []);
    assert.equal(settings.workers.isolation, 'strict');
    assert.equal(settings.isCombined, false);
    assert.deepEqual(settings.notices, []);
  });

  test('the settings are frozen to the bottom', () => {
    const settings = load();
    assert.throws(() => Object.assign(settings.auth, { requiresToken: false }), TypeError);
    assert.throws(() => Object.assign(settings.inference.address, { host: 'x' }), TypeError);
  });
});

describe('precedence', () => {
  const guard = 'enable_envvars_config=true\n';

  test('flags win over the file, the environment over both, but only with enable_envvars_config in the file', () => {
    const env = { TS_JOB_QUEUE_SIZE: '3' };
    const given = { flags: flags({ job_queue_size: '2' }) };
    assert.equal(load('job_queue_size=1').queue.maxJobs, 1);
    assert.equal(load('job_queue_size=1', given).queue.maxJobs, 2);
    assert.equal(load('job_queue_size=1', { ...given, env }).queue.maxJobs, 2);
    assert.equal(load(`${guard}job_queue_size=1`, { ...given, env }).queue.maxJobs, 3);
  });

  test('every value knows where it came from', () => {
    const settings = load(`${guard}\njob_queue_size=1\n`, {
      env: { TS_MAX_REQUEST_SIZE: '5' },
      flags: flags({ model_store: 'm' }),
    });
    assert.deepEqual(settings.origin('job_queue_size'), { source: 'file', where: 'config.properties:3' });
    assert.deepEqual(settings.origin('max_request_size'), { source: 'env', where: 'TS_MAX_REQUEST_SIZE' });
    assert.deepEqual(settings.origin('model_store'), { source: 'flag', where: '--model_store' });
    assert.deepEqual(settings.origin('debug'), { source: 'default', where: '' });
    assert.deepEqual(settings.models.stores, ['/srv/m']);
  });

  test('the environment can switch tokens back on over the flag', () => {
    const env = { TS_DISABLE_TOKEN_AUTHORIZATION: 'false' };
    const given = { flags: flags({ disable_token_authorization: 'true' }), env };
    assert.equal(load(guard, given).auth.requiresToken, true);
    assert.equal(load('', given).auth.requiresToken, false);
  });

  test('the model API follows environment, flag, file in that order', () => {
    const env = { TS_ENABLE_MODEL_API: 'false' };
    const given = { flags: flags({ enable_model_api: 'true' }), env };
    assert.equal(load(guard, given).auth.isModelApiEnabled, false);
    assert.equal(load('enable_model_api=false', given).auth.isModelApiEnabled, true);
  });

  test('TS_ALLOWED_URLS needs use_env_allowed_urls as well', () => {
    const env = { TS_ALLOWED_URLS: 'https://models\\.example/.*' };
    assert.deepEqual(load(guard, { env }).models.allowedUrls, []);
    assert.deepEqual(load('use_env_allowed_urls=true', { env }).models.allowedUrls, []);
    assert.deepEqual(load(`${guard}use_env_allowed_urls=true`, { env }).models.allowedUrls, [env.TS_ALLOWED_URLS]);
  });

  test('the guard cannot be opened from outside the file', () => {
    const env = { TS_ENABLE_ENVVARS_CONFIG: 'true', TS_JOB_QUEUE_SIZE: '3' };
    assert.equal(load('', { env, flags: flags({ enable_envvars_config: 'true' }) }).queue.maxJobs, 100);
  });

  test('ignored variables are named', () => {
    const { notices } = load('', { env: { TS_JOB_QUEUE_SIZE: '3' } });
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /TS_JOB_QUEUE_SIZE/);
  });

  test('the open inference variable is always read and only oip switches it on', () => {
    const on = (text: string): boolean =>
      load('ts_open_inference_protocol=true', { env: { TS_OPEN_INFERENCE_PROTOCOL: text } }).openInferenceProtocol
        .isEnabled;
    assert.deepEqual([on('oip'), on('true')], [true, false]);
  });

  test('a repeated key counts with its last line', () => {
    assert.equal(load('job_queue_size=1\njob_queue_size=2').origin('job_queue_size').where, 'config.properties:2');
  });
});

describe('a snapshot', () => {
  const snapshot = (text: string): Partial<Sources> => ({ snapshot: { name: 's.cfg', text } });

  test('sets no security key; those still come from the file', () => {
    for (const key of KEY_NAMES.filter((name) => KEYS[name].isSecurity)) {
      const settings = load('', snapshot(`${key}=true`));
      assert.equal(settings.origin(key).source, 'default', key);
    }
    const settings = load(
      'enable_model_api=true\njob_queue_size=1',
      snapshot('job_queue_size=2\nenable_model_api=false'),
    );
    assert.equal(settings.auth.isModelApiEnabled, true);
    assert.equal(settings.queue.maxJobs, 2);
    assert.deepEqual(settings.origin('job_queue_size'), { source: 'snapshot', where: 's.cfg:1' });
  });

  test('silences every other key of the file, as TorchServe does', () => {
    assert.equal(load('job_queue_size=1', snapshot('')).queue.maxJobs, 100);
  });

  test('replaces load_models by its own models', () => {
    const text = 'load_models=all\nmodel_snapshot={"models":{"m":{"1.0":{"marName":"m.mar"}}}}';
    assert.equal(load(text).models.startup.kind, 'snapshot');
  });
});

describe('values', () => {
  test('only true is true, and a blank behind it is pointed at', () => {
    assert.equal(load('enable_model_api=TRUE').auth.isModelApiEnabled, true);
    const settings = load('enable_model_api=true ');
    assert.equal(settings.auth.isModelApiEnabled, false);
    assert.match(settings.notices[0] ?? '', /config\.properties:1/);
  });

  test('Davy’s own switches take no typo', () => {
    refused(() => load('ping_requires_token=yes'), /ping_requires_token at config\.properties:1/);
  });

  test('integers that are none stop the start', () => {
    for (const text of ['x', '', '1.5', ' 1', '2147483648', '0x10', '-1']) {
      refused(() => load(`job_queue_size=${text === ' 1' ? '\\ 1' : text}`), /job_queue_size at config\.properties:1/);
    }
  });

  test('an unreadable token lifetime is 60 minutes, never more', () => {
    for (const text of ['x', '0', '-1', 'Infinity', 'NaN', '1e9']) {
      assert.equal(load(`token_expiration_min=${text}`).auth.tokenLifetimeMin, 60, text);
    }
    assert.equal(load('token_expiration_min=0.25').auth.tokenLifetimeMin, 0.25);
  });

  test('the address error keeps TorchServe’s first line and names the place on the second', () => {
    refused(() => load('inference_address=nope'), /^Invalid binding address: nope\n.*config\.properties:1/);
  });

  test('the keystore password is never printed', () => {
    const settings = load('keystore=k.p12\nkeystore_pass=hunter2');
    assert.equal(settings.tls.keystore?.password.reveal(), 'hunter2');
    const printed = inspect(settings, { depth: 9 }) + JSON.stringify(settings) + JSON.stringify(settings.effective());
    assert.ok(!printed.includes('hunter2'));
  });

  test('blacklist_env_vars matches whole names', () => {
    const { envDeny } = load('blacklist_env_vars=AWS_.*|X').workers;
    assert.deepEqual(
      [envDeny?.test('AWS_KEY'), envDeny?.test('MY_AWS_KEY'), envDeny?.test('XY')],
      [true, false, false],
    );
    refused(() => load('blacklist_env_vars=('));
  });
});

describe('unknown keys', () => {
  test('are kept and reported', () => {
    const settings = load('NUM_WORKERS=1');
    assert.equal(settings.unknown.get('NUM_WORKERS'), '1');
    assert.match(settings.notices[0] ?? '', /NUM_WORKERS at config\.properties:1/);
  });

  test('that are nearly a known one stop the start and name the line', () => {
    refused(
      () => load('\ndisable_token_authorisation=false'),
      /config\.properties:2\. Did you mean disable_token_auth/,
    );
  });
});

describe('listeners', () => {
  test('beyond loopback need TLS or an explicit word', () => {
    refused(() => load('inference_address=http://0.0.0.0:8080'), /--insecure-bind/);
    refused(() => load('grpc_inference_address=0.0.0.0'), /enable_grpc_ssl/);
    load('inference_address=https://0.0.0.0:8080');
    load('metrics_address=http://0.0.0.0:8082\nenable_metrics_api=false');
    const settings = load('inference_address=http://0.0.0.0:8080\ninsecure_bind=true');
    assert.ok(settings.notices.some((line) => line.includes('http://0.0.0.0:8080')));
  });

  test('equal addresses of inference and management are one listener', () => {
    assert.ok(load('management_address=https://127.0.0.1:8080').isCombined);
  });

  test('the metrics address must be its own', () => {
    refused(() => load('metrics_address=http://127.0.0.1:8080'), /^Failed to bind to address: http:\/\/127/);
  });

  test('unix sockets need use_native_io', () => {
    refused(() => load('inference_address=unix:/a\nuse_native_io=false'), /^unix domain socket requires use_native_io/);
  });
});

test('every default can be written out and means the same', () => {
  const lines = KEY_NAMES.flatMap((key) =>
    KEYS[key].defaultText === undefined ? [] : `${key}=${KEYS[key].defaultText}`,
  );
  const written = load(lines.join('\n'));
  assert.deepEqual(written.notices, []);
  assert.equal(JSON.stringify(written), JSON.stringify(load()));
});

test('a configuration as TorchServe’s containers ship it loads once the clear text is accepted', () => {
  const text = `
inference_address=http://0.0.0.0:8085
management_address=http://0.0.0.0:8085
metrics_address=http://0.0.0.0:8082
grpc_inference_port=7070
grpc_management_port=7071
enable_metrics_api=true
metrics_mode=prometheus
number_of_netty_threads=4
job_queue_size=10
enable_envvars_config=true
install_py_dep_per_model=true
NUM_WORKERS=1
number_of_gpu=1
model_store=/mnt/models/model-store
model_snapshot={"name":"startup.cfg","modelCount":1,"models":{"mnist":{"1.0":{"defaultVersion":true,\\
  "marName":"mnist.mar","minWorkers":1,"maxWorkers":5,"batchSize":1,"maxBatchDelay":10,"responseTimeout":120}}}}
`;
  refused(() => load(text), /--insecure-bind/);
  const settings = load(text, { flags: flags({ insecure_bind: 'true' }) });
  assert.ok(settings.isCombined);
  assert.ok(settings.models.startup.kind === 'snapshot');
  assert.equal(settings.models.startup.models[0]?.defaults?.maxWorkers, 5);
});

test('servers that can run side by side keep their state apart, and find it again', () => {
  const first = load().server.stateDir;
  assert.match(first, /^\/state\/davy\/[0-9a-f]{12}$/);
  assert.equal(load('job_queue_size=1').server.stateDir, first);
  assert.notEqual(load('inference_address=http://127.0.0.1:9090').server.stateDir, first);
  assert.equal(load('state_dir=mine').server.stateDir, '/srv/mine');
});

test('a key whose feature is not there yet says so, a default written out does not', () => {
  assert.ok(
    load('cpu_launcher_enable=true').notices.some((line) => /cpu_launcher_enable \(config\.properties:1\)/.test(line)),
  );
  assert.deepEqual(load('cpu_launcher_enable=false').notices, []);
});

test('TorchServe’s open allowed_urls warns in its words', () => {
  const { notices } = load('allowed_urls=file://.*|http(s)?://.*');
  assert.ok(notices.some((line) => line.startsWith('Your torchserve instance can access any URL')));
  assert.deepEqual(load('allowed_urls=https://models.example/.*').notices, []);
});

test('any values for any keys give Settings or a configuration fault', () => {
  const words = fc.constantFrom(
    'true',
    'false',
    '0',
    '1',
    '-1',
    'all',
    '{}',
    'http://127.0.0.1:1',
    'unix:/a',
    '(',
    '$$X$$',
    '',
  );
  const line = fc.tuple(fc.constantFrom(...KEY_NAMES), words).map(([key, word]) => `${key}=${word}`);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
      try {
        load(lines.join('\n'));
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        assert.equal(error.code, 'invalid_configuration');
      }
    }),
    { numRuns: 300 },
  );
});

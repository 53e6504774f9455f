// Every key of surface spec 7.4, one by one: its default, its variable, and what a value that makes no sense is answered with.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe } from 'node:test';
import { main as davy } from '../../src/app/cli/main.ts';
import { behaviour } from './behaviour.ts';

const TORCHSERVE = join(import.meta.dirname, '..', '..', 'bin', 'torchserve');

type Kind = 'integer' | 'boolean' | 'text';

/** Key, default as text (null: none), environment variable (null: none), kind: the table of 7.4. */
const KEYS: readonly (readonly [key: string, preset: string | null, env: string | null, kind: Kind])[] = [
  ['inference_address', 'http://127.0.0.1:8080', 'TS_INFERENCE_ADDRESS', 'text'],
  ['management_address', 'http://127.0.0.1:8081', 'TS_MANAGEMENT_ADDRESS', 'text'],
  ['metrics_address', 'http://127.0.0.1:8082', 'TS_METRICS_ADDRESS', 'text'],
  ['grpc_inference_address', '127.0.0.1', 'TS_GRPC_INFERENCE_ADDRESS', 'text'],
  ['grpc_management_address', '127.0.0.1', 'TS_GRPC_MANAGEMENT_ADDRESS', 'text'],
  ['grpc_inference_port', '7070', 'TS_GRPC_INFERENCE_PORT', 'integer'],
  ['grpc_management_port', '7071', 'TS_GRPC_MANAGEMENT_PORT', 'integer'],
  ['grpc_inference_max_connection_age_ms', null, 'TS_GRPC_INFERENCE_MAX_CONNECTION_AGE_MS', 'integer'],
  ['grpc_management_max_connection_age_ms', null, 'TS_GRPC_MANAGEMENT_MAX_CONNECTION_AGE_MS', 'integer'],
  ['grpc_inference_max_connection_age_grace_ms', null, 'TS_GRPC_INFERENCE_MAX_CONNECTION_AGE_GRACE_MS', 'integer'],
  ['grpc_management_max_connection_age_grace_ms', null, 'TS_GRPC_MANAGEMENT_MAX_CONNECTION_AGE_GRACE_MS', 'integer'],
  ['enable_grpc_ssl', 'false', 'TS_ENABLE_GRPC_SSL', 'boolean'],
  ['ts_open_inference_protocol', 'false', 'TS_OPEN_INFERENCE_PROTOCOL', 'boolean'],
  ['model_store', null, 'TS_MODEL_STORE', 'text'],
  ['workflow_store', null, 'TS_WORKFLOW_STORE', 'text'],
  ['load_models', null, 'TS_LOAD_MODELS', 'text'],
  ['models', null, null, 'text'],
  ['model_snapshot', null, null, 'text'],
  ['default_workers_per_model', '0', 'TS_DEFAULT_WORKERS_PER_MODEL', 'integer'],
  ['default_response_timeout', '120', 'TS_DEFAULT_RESPONSE_TIMEOUT', 'integer'],
  ['default_startup_timeout', '120', 'TS_DEFAULT_STARTUP_TIMEOUT', 'integer'],
  ['unregister_model_timeout', '120', 'TS_UNREGISTER_MODEL_TIMEOUT', 'integer'],
  ['job_queue_size', '100', 'TS_JOB_QUEUE_SIZE', 'integer'],
  ['number_of_netty_threads', '0', 'TS_NUMBER_OF_NETTY_THREADS', 'integer'],
  ['netty_client_threads', '0', 'TS_NETTY_CLIENT_THREADS', 'integer'],
  ['number_of_gpu', null, 'TS_NUMBER_OF_GPU', 'integer'],
  ['max_request_size', '6553500', 'TS_MAX_REQUEST_SIZE', 'integer'],
  ['max_response_size', '6553500', 'TS_MAX_RESPONSE_SIZE', 'integer'],
  ['limit_max_image_pixels', 'true', 'TS_LIMIT_MAX_IMAGE_PIXELS', 'boolean'],
  ['decode_input_request', 'true', 'TS_DECODE_INPUT_REQUEST', 'boolean'],
  ['prefer_direct_buffer', 'false', 'TS_PREFER_DIRECT_BUFFER', 'text'],
  ['allowed_urls', '', 'TS_ALLOWED_URLS', 'text'],
  ['use_env_allowed_urls', 'false', null, 'boolean'],
  ['install_py_dep_per_model', 'false', 'TS_INSTALL_PY_DEP_PER_MODEL', 'boolean'],
  ['enable_metrics_api', 'true', 'TS_ENABLE_METRICS_API', 'boolean'],
  ['metrics_mode', 'log', 'TS_METRICS_MODE', 'text'],
  ['metrics_config', null, 'TS_METRICS_CONFIG', 'text'],
  ['model_metrics_auto_detect', 'false', 'TS_MODEL_METRICS_AUTO_DETECT', 'boolean'],
  ['disable_system_metrics', 'false', 'TS_DISABLE_SYSTEM_METRICS', 'boolean'],
  ['system_metrics_cmd', null, null, 'text'],
  ['metric_time_interval', '60', null, 'integer'],
  ['disable_token_authorization', 'false', 'TS_DISABLE_TOKEN_AUTHORIZATION', 'boolean'],
  ['token_expiration_min', '60', 'TS_TOKEN_EXPIRATION_TIME_MIN', 'text'],
  ['enable_model_api', 'false', 'TS_ENABLE_MODEL_API', 'boolean'],
  ['cors_allowed_origin', '', 'TS_CORS_ALLOWED_ORIGIN', 'text'],
  ['cors_allowed_methods', '', 'TS_CORS_ALLOWED_METHODS', 'text'],
  ['cors_allowed_headers', '', 'TS_CORS_ALLOWED_HEADERS', 'text'],
  ['keystore', null, 'TS_KEYSTORE', 'text'],
  ['keystore_pass', '[secret]', 'TS_KEYSTORE_PASS', 'text'],
  ['keystore_type', 'PKCS12', 'TS_KEYSTORE_TYPE', 'text'],
  ['private_key_file', null, 'TS_PRIVATE_KEY_FILE', 'text'],
  ['certificate_file', null, 'TS_CERTIFICATE_FILE', 'text'],
  ['blacklist_env_vars', null, 'TS_BLACKLIST_ENV_VARS', 'text'],
  ['default_service_handler', null, 'TS_DEFAULT_SERVICE_HANDLER', 'text'],
  ['service_envelope', null, 'TS_SERVICE_ENVELOPE', 'text'],
  ['ts_header_key_sequence_id', 'ts_request_sequence_id', 'TS_HEADER_KEY_SEQUENCE_ID', 'text'],
  ['ts_header_key_sequence_start', 'ts_request_sequence_start', 'TS_HEADER_KEY_SEQUENCE_START', 'text'],
  ['ts_header_key_sequence_end', 'ts_request_sequence_end', 'TS_HEADER_KEY_SEQUENCE_END', 'text'],
  ['initial_worker_port', '9000', 'TS_INITIAL_WORKER_PORT', 'integer'],
  ['initial_distribution_port', '29500', 'TS_INITIAL_DISTRIBUTION_PORT', 'integer'],
  ['model_server_home', null, 'TS_MODEL_SERVER_HOME', 'text'],
  ['cpp_log_config', null, 'TS_CPP_LOG_CONFIG', 'text'],
  ['ipex_enable', 'false', 'TS_IPEX_ENABLE', 'boolean'],
  ['ipex_gpu_enable', 'false', 'TS_IPEX_GPU_ENABLE', 'boolean'],
  ['cpu_launcher_enable', 'false', 'TS_CPU_LAUNCHER_ENABLE', 'boolean'],
  ['cpu_launcher_args', null, 'TS_CPU_LAUNCHER_ARGS', 'text'],
  ['async_logging', 'false', 'TS_ASYNC_LOGGING', 'text'],
  ['debug', 'false', 'TS_DEBUG', 'boolean'],
  ['enable_envvars_config', 'false', null, 'boolean'],
  ['use_native_io', 'true', null, 'boolean'],
  ['io_ratio', '50', null, 'text'],
  ['vmargs', '', null, 'text'],
  ['plugins_path', '', null, 'text'],
];

interface Effective {
  readonly configFile: string | null;
  readonly settings: readonly { key: string; value: string | null; source: string; where: string }[];
  readonly notices: readonly string[];
}

describe('the keys of config.properties', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-keys-'));
    for (const folder of ['store', 'home', 'cwd', 'cwd/logs/config', 'elsewhere/config']) {
      mkdirSync(join(dir, folder), { recursive: true });
    }
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  let files = 0;
  /** Lines of a configuration file with a name of its own. */
  const file = (...lines: readonly string[]): string => {
    files += 1;
    const name = `${files}.properties`;
    writeFileSync(join(dir, name), `${lines.join('\n')}\n`, { encoding: 'latin1', mode: 0o600 });
    return name;
  };
  /** The command itself, in this process: the many cases here would be as many starts of Node. */
  const run = async (
    args: readonly string[],
    { env = {}, cwd = dir }: { env?: Record<string, string>; cwd?: string } = {},
  ): Promise<{ status: number; stdout: string; stderr: string }> => {
    let [stdout, stderr] = ['', ''];
    const status = await davy(args, {
      stdin: Readable.from([]),
      stdout: { write: (text) => void (stdout += String(text)) },
      stderr: { write: (text) => void (stderr += String(text)) },
      env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir, ...env },
      cwd,
    });
    return { status, stdout, stderr };
  };
  /** What `davy config` says is in force: the server's own reading, without a server. */
  const effective = async (
    args: readonly string[],
    options: { env?: Record<string, string>; cwd?: string } = {},
  ): Promise<Effective & { of(key: string): string | null; where(key: string): string }> => {
    const { status, stdout, stderr } = await run(['config', '--json', ...args], options);
    assert.equal(status, 0, stdout + stderr);
    const found = JSON.parse(stdout) as Effective;
    const row = (key: string) => found.settings.find((setting) => setting.key === key);
    return { ...found, of: (key) => row(key)?.value ?? null, where: (key) => row(key)?.where ?? '' };
  };
  /** The reason that a start with this file gives behind `Invalid configuration: `. */
  const refused = async (name: string, env: Record<string, string> = {}): Promise<string> => {
    const { status, stdout, stderr } = await run(['config', '--config', name, '--model-store', 'store'], { env });
    assert.deepEqual([status, stdout], [1, '']);
    return stderr;
  };
  const torchserve = (args: readonly string[], cwd = dir): { status: number | null; stdout: string } =>
    spawnSync(process.execPath, [TORCHSERVE, ...args], {
      cwd,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir },
      timeout: 30_000,
    });
  const forEach = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
    for (const item of items) await work(item);
  };

  behaviour('7.4', 'same', 'every documented key is known, and has its documented default', async () => {
    const found = await effective([]);
    for (const [key, preset] of KEYS) {
      const row = found.settings.find((setting) => setting.key === key);
      assert.deepEqual([key, row?.value, row?.source], [key, preset, 'default']);
    }
  });

  behaviour(
    '7.3',
    'same',
    'with enable_envvars_config=true each key’s own variable beats flag and file; the other keys have none',
    async () => {
      const values: Record<string, string> = {
        TS_MODEL_SERVER_HOME: join(dir, 'home'),
        TS_METRICS_MODE: 'legacy',
        TS_SERVICE_ENVELOPE: 'kserve',
      };
      for (const [, preset, env, kind] of KEYS) {
        if (env === null) continue;
        values[env] ??= kind === 'integer' ? '7' : kind === 'boolean' ? 'true' : (preset ?? 'x');
      }
      values['TS_OPEN_INFERENCE_PROTOCOL'] = 'oip';
      const strangers = { TS_MODELS: '{', TS_METRIC_TIME_INTERVAL: 'x', TS_TOKEN_EXPIRATION_MIN: 'x', TS_PYTHON: 'x' };
      const name = file('enable_envvars_config=true', 'use_env_allowed_urls=true', 'job_queue_size=5');
      const found = await effective(['--config', name, '--model-store', 'store'], { env: { ...values, ...strangers } });
      for (const [key, , env] of KEYS) {
        const row = found.settings.find((setting) => setting.key === key);
        if (env !== null) assert.deepEqual([key, row?.source, row?.where], [key, 'env', env]);
        else assert.notEqual(row?.source, 'env', key);
      }
      assert.equal(found.of('job_queue_size'), '7');
    },
  );

  behaviour(
    '7.3',
    'same',
    'without it only the variables that are always read count; TS_ALLOWED_URLS wants use_env_allowed_urls as well',
    async () => {
      const env = {
        TS_JOB_QUEUE_SIZE: '7',
        TS_ENABLE_MODEL_API: 'true',
        TS_ALLOWED_URLS: 'https://one/.*',
        TS_OPEN_INFERENCE_PROTOCOL: 'oip',
        TS_MODEL_SERVER_HOME: join(dir, 'home'),
        // Only the file may say this.
        TS_ENABLE_ENVVARS_CONFIG: 'true',
      };
      const off = await effective(['--config', file('enable_envvars_config=no')], { env });
      const sources = (found: Effective): readonly string[] =>
        found.settings.filter(({ source }) => source === 'env').map(({ key }) => key);
      assert.deepEqual(sources(off).toSorted(), ['model_server_home', 'ts_open_inference_protocol']);
      const on = await effective(['--config', file('enable_envvars_config=TRUE')], { env });
      assert.deepEqual([on.of('job_queue_size'), on.of('enable_model_api'), on.of('allowed_urls')], ['7', 'true', '']);
      const both = await effective(['--config', file('enable_envvars_config=true', 'use_env_allowed_urls=true')], {
        env,
      });
      assert.equal(both.of('allowed_urls'), 'https://one/.*');
    },
  );

  behaviour(
    '7.4',
    'same',
    'an integer that is none stops the start, and the key, the file and the line are named',
    async () => {
      for (const [key, , , kind] of KEYS) {
        if (kind !== 'integer') continue;
        const name = file('# the first line', `${key}=12 apples`);
        const text = await refused(name);
        assert.ok(text.startsWith(`${key} at ${name}:2 must be an integer, found "12 apples".`), text);
      }
      const name = file('job_queue_size=12 apples');
      const { status, stdout } = torchserve(['--foreground', '--ts-config', name, '--model-store', 'store', '--ncs']);
      const text = `Invalid configuration: job_queue_size at ${name}:1 must be an integer, found "12 apples".`;
      assert.deepEqual([status, stdout], [1, `${text}\n`]);
    },
  );

  behaviour('7.4', 'same', 'a blank behind a number is part of it, as in Java, and so is a fraction', async () => {
    assert.match(await refused(file('job_queue_size=5 ')), /^job_queue_size at \S+:1 must be an integer, found "5 "/);
    assert.match(await refused(file('max_request_size=1.5')), /^max_request_size at \S+:1 must be an integer/);
    assert.match(await refused(file('max_request_size=2147483648')), /^max_request_size at \S+:1 must be between/);
    assert.match(
      await refused(file('enable_envvars_config=true'), { TS_JOB_QUEUE_SIZE: 'x' }),
      /TS_JOB_QUEUE_SIZE must/,
    );
  });

  behaviour(
    '7.4',
    'stricter',
    'numbers that no server can work with are refused at the start, with the range that can',
    async () => {
      const limits = [
        ['grpc_inference_port', '65535', '65534'],
        ['grpc_management_port', '-1', '0'],
        ['job_queue_size', '0', '1'],
        ['max_request_size', '0', '1'],
        ['max_response_size', '-5', '1'],
        ['default_workers_per_model', '-1', '0'],
        ['default_response_timeout', '0', '1'],
        ['number_of_gpu', '-1', '0'],
        ['metric_time_interval', '0', '1'],
        ['initial_distribution_port', '70000', '65535'],
      ] as const;
      const edges = await effective(['--config', file(...limits.map(([key, , edge]) => `${key}=${edge}`))]);
      for (const [key, , edge] of limits) assert.equal(edges.of(key), edge);
      await forEach(limits, async ([key, beyond]) => {
        const name = file(`${key}=${beyond}`);
        assert.match(
          await refused(name),
          new RegExp(`^${key} at ${name}:1 must be between .* and .*, found ${beyond}`),
        );
      });
    },
  );

  behaviour(
    '7.4',
    'same',
    'only true, in any case, is true; everything else is false, and what is neither is told',
    async () => {
      const keys = KEYS.filter(([key, , , kind]) => kind === 'boolean' && key !== 'use_native_io').map(([key]) => key);
      const junk = await effective(['--config', file(...keys.map((key) => `${key}=yes`))]);
      for (const key of keys) {
        assert.ok(
          junk.notices.some((line) => line.startsWith(`${key} at `) && line.includes('is read as false: "yes"')),
          key,
        );
      }
      // Read as false, so that its listener is not opened: equal addresses do not matter.
      const same = 'metrics_address=http://127.0.0.1:8080';
      await effective(['--config', file(same, 'enable_metrics_api=true ')]);
      assert.match(await refused(file(same, 'enable_metrics_api=TRUE')), /must differ from inference_address/);
    },
  );

  behaviour(
    '7.4',
    'same',
    'whatever else cannot be used stops the start; the first line is TorchServe’s where it has one, and key, file and line are named',
    () =>
      forEach(
        [
          ['inference_address=ftp://x', /^[^\n]*ftp:\/\/x[^]*inference_address at F:2/],
          ['management_address=http://127.0.0.1:x', /management_address at F:2/],
          ['model_server_home=/no/where', /^Model server home not exist: \/no\/where\nSet by model_server_home at F:2/],
          ['blacklist_env_vars=(', /^blacklist_env_vars at F:2 must be a regular expression, found "\("/],
          ['allowed_urls=https://a/.*,[', /^allowed_urls at F:2 must be a regular expression, found "\["/],
          ['models={"a": ', /^models at F:2 must be JSON/],
          ['models={"a":{"1.0":{"batchSize":"x"}}}', /^models at F:2 at a\.1\.0\.batchSize: must be an integer/],
          ['model_snapshot=nonsense', /^model_snapshot at F:2 must be JSON/],
          ['model_snapshot={"models":{"a":{"1.0":{}}}}', /^model_snapshot at F:2 names no marName for a version 1\.0/],
          ['private_key_file=key.pem', /certificate_file is missing\.\nSet by private_key_file at F:2/],
          ['load_models=$$NO_SUCH$$', /^Invalid Environment Variable NO_SUCH\nload_models at F:2 names it/],
          ['workflow_store=\\u00zz', /^Malformed \\uxxxx encoding at F:2/],
        ] as const,
        async ([line, pattern]) => {
          const name = file('# first', line);
          assert.match(await refused(name), new RegExp(pattern.source.replaceAll('F', name)));
        },
      ),
  );

  behaviour('7.4', 'stricter', 'a service_envelope that no worker could load is refused at the start', async () => {
    const name = file('service_envelope=kfserving');
    const text = await refused(name);
    assert.ok(
      text.startsWith(`service_envelope at ${name}:1 must be one of body, json, kserve, kservev2, found`),
      text,
    );
    assert.equal((await effective(['--config', file('service_envelope=')])).of('service_envelope'), '');
  });

  behaviour('7.4', 'same', 'token_expiration_min that is no number means 60, in TorchServe’s words', async () => {
    const { notices } = await effective(['--config', file('token_expiration_min=soon')]);
    assert.match(notices.join('\n'), /Token expiration not a valid integer: .*"soon", 60 is used/);
  });

  behaviour('7.4', 'same', 'allowed_urls that admit every URL are warned of, in TorchServe’s words', async () => {
    const words =
      'Your torchserve instance can access any URL to load models. When deploying to production, ' +
      'make sure to limit the set of allowed_urls in config.properties';
    for (const [patterns, isWide] of [
      ['file://.*|http(s)?://.*', true],
      ['.*', true],
      ['https://models.example.org/.*', false],
    ] as const) {
      const { notices } = await effective(['--config', file(`allowed_urls=${patterns}`)]);
      assert.equal(notices.includes(words), isWide, patterns);
    }
  });

  behaviour('7.2', 'same', 'the file is ISO-8859-1, with \\uXXXX for the rest', async () => {
    const found = await effective(['--config', file('cors_allowed_headers=caf\u00e9 \\u20ac')]);
    assert.equal(found.of('cors_allowed_headers'), 'café €');
  });

  behaviour('7.4', 'same', 'any other key is legal and ignored; the log says so', async () => {
    const found = await effective(['--config', file('NUM_WORKERS=1', 'my.plugin.key=x', 'job_queue_size=9')]);
    assert.equal(found.of('job_queue_size'), '9');
    for (const key of ['NUM_WORKERS', 'my.plugin.key'])
      assert.match(found.notices.join('\n'), new RegExp(`Unknown key ${key} at`));
  });

  behaviour(
    '7.4',
    'stricter',
    'a key that is nearly a known one is a typo: the start is refused, and both are named',
    () =>
      forEach(
        [
          ['disable_token_authorisation', 'disable_token_authorization'],
          ['Enable_Model_API', 'enable_model_api'],
          ['inference-address', 'inference_address'],
          ['load_model', 'load_models'],
        ] as const,
        async ([typed, meant]) => {
          const name = file('', `${typed}=x`);
          assert.ok((await refused(name)).startsWith(`Unknown key ${typed} at ${name}:2. Did you mean ${meant}?`));
        },
      ),
  );

  behaviour(
    '7.4',
    'stricter',
    'a byte order mark does not hide the first key: the start is refused, as for any typo',
    async () => {
      const name = file('\u00ef\u00bb\u00bfdisable_token_authorization=false');
      assert.match(
        await refused(name),
        /^Unknown key .*disable_token_authorization at \S+:1\. Did you mean disable_token_authorization\?/,
      );
    },
  );

  behaviour(
    '7.4',
    'absent',
    'debug, the CPU launcher and the ports of torchrun have no effect, those of Java and C++ no meaning; the log says both',
    async () => {
      const later = [
        'debug=true',
        'cpu_launcher_enable=true',
        'cpu_launcher_args=-x',
        'initial_distribution_port=29600',
      ];
      const never = ['async_logging=true', 'prefer_direct_buffer=true', 'cpp_log_config=x', 'workflow_store=store'];
      const { notices } = await effective(['--config', file(...later, ...never)]);
      for (const [key] of later.map((line) => line.split('='))) {
        assert.match(notices.join('\n'), new RegExp(`^${key} \\(\\S+\\) has no effect yet: `, 'm'));
      }
      for (const [key] of never.map((line) => line.split('='))) {
        assert.match(notices.join('\n'), new RegExp(`^Without meaning in Davy, ignored: .*${key} \\(`, 'm'));
      }
    },
  );

  behaviour(
    '7.7',
    'same',
    'a snapshot that cannot be read stops the start, with its name and the way around it',
    async () => {
      const config = join(dir, 'elsewhere', 'config');
      const name = '20990101000000000-shutdown.cfg';
      writeFileSync(join(config, name), '#\nmodel_snapshot={"models"\\:{\n', { mode: 0o600 });
      const env = { LOG_LOCATION: join(dir, 'elsewhere') };
      const { status, stderr } = await run(['config'], { env });
      rmSync(join(config, name));
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`^model_snapshot at ${name}:2 must be JSON\\.\nRemove .* --no-config-snapshots`));
    },
  );

  behaviour(
    '7.2',
    'same',
    '$$NAME$$ is the variable, before any value is read; ${NAME}, $NAME and %NAME% are text',
    async () => {
      const name = file(
        'job_queue_size=$$QUEUE$$',
        'cors_allowed_origin=https://$$HOST_A$$.$$HOST_B$$',
        'cors_allowed_methods=${HOST_A} $HOST_A %HOST_A%',
        'cors_allowed_headers=$$HOST_A',
      );
      const found = await effective(['--config', name], { env: { QUEUE: '11', HOST_A: 'a', HOST_B: 'example' } });
      assert.deepEqual(
        ['job_queue_size', 'cors_allowed_origin', 'cors_allowed_methods', 'cors_allowed_headers'].map(found.of),
        ['11', 'https://a.example', '${HOST_A} $HOST_A %HOST_A%', '$$HOST_A'],
      );
    },
  );

  behaviour(
    '7.2',
    'same',
    'TS_CONFIG_FILE, then --ts-config, then the newest snapshot of LOG_LOCATION, then ./config.properties',
    async () => {
      const cwd = join(dir, 'cwd');
      const write = (path: string, text: string): void => writeFileSync(join(dir, path), text, { mode: 0o600 });
      write('named.properties', 'job_queue_size=1\n');
      write('flagged.properties', 'job_queue_size=2\n');
      write('elsewhere/config/20260101000000000-startup.cfg', 'job_queue_size=3\n');
      write('cwd/logs/config/20250101000000000-shutdown.cfg', 'job_queue_size=44\n');
      write('cwd/logs/config/20260101000000000-snapshot.cfg', 'job_queue_size=4\n');
      write('cwd/logs/config/99990101000000000-other.cfg', 'job_queue_size=45\n');
      write('cwd/config.properties', 'job_queue_size=5\n');
      const flag = ['--config', join(dir, 'flagged.properties')];
      const queue = async (args: readonly string[], env: Record<string, string> = {}): Promise<string | null> =>
        (await effective(args, { cwd, env })).of('job_queue_size');
      assert.equal(await queue(flag, { TS_CONFIG_FILE: join(dir, 'named.properties') }), '1');
      assert.equal(await queue(flag), '2');
      assert.equal(await queue([], { LOG_LOCATION: join(dir, 'elsewhere') }), '3');
      assert.equal(await queue([]), '4');
      assert.equal(await queue(['--ncs']), '5');
      // The launcher does not look there: a store in ./config.properties does not do for `torchserve --start`.
      write('cwd/config.properties', `model_store=${join(dir, 'store')}\n`);
      const { status, stdout } = torchserve(['--start', '--ncs'], cwd);
      assert.deepEqual([status, stdout], [1, 'Missing mandatory parameter --model-store\n']);
    },
  );

  behaviour('7.2', 'stricter', './config.properties that others can write is not read on its own', async () => {
    const cwd = join(dir, 'home');
    writeFileSync(join(cwd, 'config.properties'), 'job_queue_size=5\n');
    chmodSync(join(cwd, 'config.properties'), 0o666);
    const { status, stdout, stderr } = await run(['config', '--ncs'], { cwd });
    assert.equal(status, 1);
    assert.match(stdout + stderr, /config\.properties can be written by others[^]*chmod go-w/);
    assert.equal((await effective(['--ncs', '--config', 'config.properties'], { cwd })).of('job_queue_size'), '5');
  });
});

// A config.properties that uses all there is (surface spec 7.4): nothing that TorchServe documents keeps the server from starting.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { startCompatServer } from '../support/compat-server.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

/** Every key of the table with a value as its documentation has it; the listeners' addresses are the test's own. */
const everyKey = (dir: string, store: string): Readonly<Record<string, string>> => ({
  grpc_inference_address: '127.0.0.1',
  grpc_management_address: '127.0.0.1',
  grpc_inference_max_connection_age_ms: '3600000',
  grpc_management_max_connection_age_ms: '3600000',
  grpc_inference_max_connection_age_grace_ms: '60000',
  grpc_management_max_connection_age_grace_ms: '60000',
  enable_grpc_ssl: 'false',
  ts_open_inference_protocol: 'true',
  model_store: store,
  workflow_store: store,
  load_models: 'first.mar',
  models:
    '{"second": {"1.0": {"defaultVersion": true, "marName": "second.mar", "minWorkers": 1, "maxWorkers": 1, "batchSize": 4, "maxBatchDelay": 100, "responseTimeout": 120, "startupTimeout": 120, "runtimeType": "python", "parallelLevel": 0}}}',
  model_snapshot:
    '{"name": "startup.cfg", "modelCount": 1, "models": {"first": {"1.0": {"defaultVersion": true, "marName": "first.mar", "minWorkers": 1, "maxWorkers": 1, "batchSize": 2, "maxBatchDelay": 50, "responseTimeout": 60}}}}',
  default_workers_per_model: '1',
  default_response_timeout: '121',
  default_startup_timeout: '122',
  unregister_model_timeout: '60',
  job_queue_size: '77',
  number_of_netty_threads: '8',
  netty_client_threads: '2',
  number_of_gpu: '1',
  max_request_size: '70000',
  max_response_size: '6553500',
  limit_max_image_pixels: 'true',
  decode_input_request: 'true',
  prefer_direct_buffer: 'false',
  allowed_urls: 'file://.*|https://models[.]example[.]org/.*',
  use_env_allowed_urls: 'true',
  install_py_dep_per_model: 'false',
  enable_metrics_api: 'true',
  metrics_mode: 'prometheus',
  metrics_config: join(dir, 'metrics.yaml'),
  model_metrics_auto_detect: 'true',
  disable_system_metrics: 'true',
  system_metrics_cmd: 'ts/metrics/metric_collector.py --gpu 0',
  metric_time_interval: '30',
  disable_token_authorization: 'true',
  token_expiration_min: '30',
  enable_model_api: 'true',
  cors_allowed_origin: 'https://app.example.org',
  cors_allowed_methods: 'GET, POST, PUT, OPTIONS',
  cors_allowed_headers: 'X-Custom-Header',
  keystore: join(dir, 'keystore.p12'),
  keystore_pass: 'changeit',
  keystore_type: 'PKCS12',
  private_key_file: join(dir, 'key.pem'),
  certificate_file: join(dir, 'cert.pem'),
  blacklist_env_vars: '.*USERNAME.*|.*PASSWORD.*',
  default_service_handler: 'first:handle',
  service_envelope: 'body',
  ts_header_key_sequence_id: 'ts_request_sequence_id',
  ts_header_key_sequence_start: 'ts_request_sequence_start',
  ts_header_key_sequence_end: 'ts_request_sequence_end',
  initial_worker_port: '9500',
  initial_distribution_port: '29600',
  model_server_home: dir,
  cpp_log_config: join(dir, 'cpp.config'),
  ipex_enable: 'false',
  ipex_gpu_enable: 'false',
  cpu_launcher_enable: 'false',
  cpu_launcher_args: '--use_logical_core',
  async_logging: 'true',
  debug: 'false',
  enable_envvars_config: 'true',
  use_native_io: 'true',
  io_ratio: '50',
  vmargs: '-Xmx1g -XX:+ExitOnOutOfMemoryError',
  plugins_path: join(dir, 'plugins'),
  version: '0.12.0',
  NUM_WORKERS: '1',
});

const METRICS = `
dimensions: [&host "Hostname"]
ts_metrics:
  counter:
    - name: Requests2XX
      unit: Count
      dimensions: ["Level", *host]
model_metrics:
  gauge:
    - name: HandlerTime
      unit: ms
      dimensions: ["ModelName", "Level"]
`;

describe('a config.properties with every documented key', () => {
  let store: TestStore;
  let dir = '';
  before(() => {
    store = makeModelStore();
    store.addArchive('first.mar', 'first', NOOP);
    store.addArchive('second.mar', 'second', NOOP);
    dir = mkdtempSync(join(tmpdir(), 'davy-every-key-'));
    mkdirSync(join(dir, 'plugins'));
    writeFileSync(join(dir, 'metrics.yaml'), METRICS);
    writeFileSync(join(dir, 'cpp.config'), '');
    const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
    openssl(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
      ...['-keyout', 'key.pem', '-out', 'cert.pem'],
    );
    openssl(
      ...['pkcs12', '-export', '-inkey', 'key.pem', '-in', 'cert.pem', '-out', 'keystore.p12'],
      ...['-passout', 'pass:changeit'],
    );
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  behaviour('7.4', 'same', 'starts the server, and the settings that clients can see are in force', async () => {
    const config = Object.entries(everyKey(dir, store.dir)).map(([key, value]) => `${key}=${value}`);
    await using server = await startCompatServer({
      modelStore: store.dir,
      config,
      env: { TS_JOB_QUEUE_SIZE: '66', TS_ALLOWED_URLS: 'file://.*' },
    });
    const listed = (await server.admin('/models')).json<{ models: unknown[] }>();
    assert.deepEqual(listed.models, [{ modelName: 'first', modelUrl: 'first.mar' }]);
    const first = await server.ready('first');
    assert.deepEqual(
      ['batchSize', 'maxBatchDelay', 'responseTimeout', 'minWorkers'].map((key) => first[key]),
      [2, 50, 60, 1],
    );
    assert.equal(first.jobQueueStatus.remainingCapacity, 66);
    assert.equal((await server.infer('/predictions/first', { method: 'POST', body: 'x' })).text, 'OK');
    assert.equal((await server.infer('/predictions/first', { method: 'POST', body: 'x'.repeat(70_001) })).status, 413);
    assert.equal((await server.infer('/ping')).headers['access-control-allow-origin'], 'https://app.example.org');
    assert.equal((await server.infer('/v2/health/live')).status, 200);
    assert.equal((await server.admin('/models?url=second.mar', 'POST')).status, 200);
    assert.equal((await server.view('second'))['batchSize'], 4);
    assert.equal((await server.admin('/models?url=https://models.example.org/x.mar', 'POST')).status, 404);
    assert.match(await (await fetch(`${server.metrics}/metrics`)).text(), /^Requests2XX\{Level="Host",Hostname="/m);
  });
});

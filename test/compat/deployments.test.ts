// The settings that TorchServe is deployed with (surface spec 12.7): KServe's image, and the Docker image.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { startCompatServer, type CompatServer } from '../support/compat-server.ts';
import { exchange } from '../support/http-exchange.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { base64, PythonRpc } from '../support/python-rpc.ts';
import { freePorts } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const JSON_TYPE = { 'Content-Type': 'application/json' };

/** Doubles numbers, and says what its worker was asked for. */
const MNIST = `
def handle(data, context):
    if data is None:
        return None
    return [row * 2 if isinstance(row, int) else repr(row) for row in data]
`;

const fill = (): TestStore => {
  const store = makeModelStore();
  store.addArchive('mnist.mar', 'mnist', MNIST);
  store.addArchive('noop.mar', 'noop', NOOP);
  return store;
};

const SNAPSHOT = JSON.stringify({
  name: 'startup.cfg',
  modelCount: 1,
  models: {
    mnist: {
      '1.0': {
        defaultVersion: true,
        marName: 'mnist.mar',
        minWorkers: 1,
        maxWorkers: 5,
        batchSize: 1,
        maxBatchDelay: 10,
        responseTimeout: 120,
      },
    },
  },
});

describe('deployed', () => {
  behaviour('12.7', 'same', 'by KServe: its config.properties, and every call that its wrapper makes', async () => {
    using store = fill();
    const [port] = await freePorts(1);
    const address = `http://0.0.0.0:${port}`;
    await using server = await startCompatServer({
      modelStore: store.dir,
      config: [
        `inference_address=${address}`,
        `management_address=${address}`,
        'grpc_inference_address=0.0.0.0',
        'grpc_management_address=0.0.0.0',
        'enable_envvars_config=true',
        'install_py_dep_per_model=true',
        'enable_metrics_api=true',
        'metrics_mode=prometheus',
        'NUM_WORKERS=1',
        'number_of_netty_threads=4',
        'job_queue_size=10',
        `model_snapshot=${SNAPSHOT}`,
      ],
      flags: ['--insecure-bind'],
      env: { TS_SERVICE_ENVELOPE: 'kserve' },
    });
    const base = `http://127.0.0.1:${port}`;
    const post = async (path: string, body: unknown): Promise<unknown> =>
      (await exchange(`${base}${path}`, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(body) })).json();
    assert.equal((await exchange(`${base}/models/mnist?customized=false`)).status, 200);
    assert.equal((await exchange(`${base}/v1/models/mnist`)).json<{ ready: boolean }>().ready, true);
    assert.deepEqual(await post('/predictions/mnist', { instances: [1, 2] }), { predictions: [2, 4] });
    assert.deepEqual(await post('/explanations/mnist', { instances: [3] }), { explanations: [6] });
    assert.deepEqual(await post('/v1/models/mnist:predict', { instances: [4] }), { predictions: [8] });
    assert.deepEqual(await post('/v1/models/mnist:explain', { instances: [5] }), { explanations: [10] });
    const added = await exchange(`${base}/models?initial_workers=1&url=noop.mar`, { method: 'POST' });
    assert.equal(added.status, 200, added.text);
    assert.equal((await exchange(`${base}/models/noop`, { method: 'DELETE' })).status, 200);
    assert.match((await exchange(`${server.metrics}/metrics`)).text, /^ts_inference_requests_total\{/m);
    assert.equal((await exchange(`${base}/metrics`)).status, 200);
    await using rpc = new PythonRpc();
    const answer = await rpc.call(server.grpcInference, 'InferenceAPIsService/Predictions', {
      model_name: 'mnist',
      input: { data: base64('{"instances": [7]}') },
    });
    assert.deepEqual(JSON.parse(Buffer.from(String(answer.messages[0]?.['prediction']), 'base64').toString()), {
      predictions: [14],
    });
  });

  behaviour(
    '12.7',
    'same',
    'by the Docker image: all interfaces, no tokens, number_of_netty_threads and job_queue_size',
    async () => {
      using store = fill();
      const ports = await freePorts(3);
      const [inference, management, metrics] = ports.map((port) => `http://0.0.0.0:${port}`);
      await using _server = await startCompatServer({
        modelStore: store.dir,
        config: [
          `inference_address=${inference}`,
          `management_address=${management}`,
          `metrics_address=${metrics}`,
          'grpc_inference_address=0.0.0.0',
          'grpc_management_address=0.0.0.0',
          'number_of_netty_threads=32',
          'job_queue_size=1000',
          'workflow_store=',
          'load_models=mnist.mar',
        ],
        flags: ['--insecure-bind'],
      });
      const [view] = (await exchange(`http://127.0.0.1:${ports[1]}/models/mnist`)).json<
        [Awaited<ReturnType<CompatServer['view']>>]
      >();
      assert.equal(view.jobQueueStatus.remainingCapacity, 1000);
      assert.match((await exchange(`http://127.0.0.1:${ports[0]}/predictions/mnist`)).text, /bytearray/);
      assert.equal((await exchange(`http://127.0.0.1:${ports[2]}/metrics`)).status, 200);
    },
  );

  behaviour(
    '12.7',
    'stricter',
    'by either: all interfaces without TLS want --insecure-bind, or DAVY_INSECURE_BIND=true',
    async () => {
      using store = fill();
      const [port] = await freePorts(1);
      const config = [`inference_address=http://0.0.0.0:${port}`, 'enable_envvars_config=true'];
      await assert.rejects(startCompatServer({ modelStore: store.dir, config }), /--insecure-bind/);
      await using _server = await startCompatServer({
        modelStore: store.dir,
        config,
        env: { DAVY_INSECURE_BIND: 'true' },
      });
      assert.equal((await exchange(`http://127.0.0.1:${port}/ping`)).status, 200);
    },
  );
});

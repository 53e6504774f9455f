// What clients, handlers and logs see of the keys of surface spec 7.4, of load_models (7.5) and of models= (7.6).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCompatServer } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { behaviour } from './behaviour.ts';

const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';
const MODELS = {
  both: {
    '1.0': {
      minWorkers: 2,
      maxWorkers: 2,
      batchSize: 3,
      maxBatchDelay: 40,
      responseTimeout: 51,
      startupTimeout: 52,
      runtimeType: 'python3',
    },
  },
  timed: { '1.0': { responseTimeout: 51 } },
  plain: {
    '1.0': { batchSize: '4', maxBatchDelay: 0, responseTimeout: -1, runtimeType: 'LSP' },
    '2.0': { batchSize: 9 },
  },
};
const fill = (store: TestStore): void => {
  store.add('obey', OBEY);
  store.add('both', NOOP, { config: 'batchSize: 7\nresponseTimeout: 61\n' });
  store.add('plain', NOOP);
  store.add('nameless', NOOP, { model: { handler: undefined } });
};
const config = [
  `models=${JSON.stringify(MODELS)}`,
  'default_workers_per_model=2',
  'default_response_timeout=31',
  'default_startup_timeout=32',
  'default_service_handler=nameless.py:handle',
  'job_queue_size=33',
  'initial_worker_port=9700',
  'limit_max_image_pixels=false',
  'decode_input_request=false',
  'ipex_enable=true',
  'ts_header_key_sequence_id=my_id',
  'ts_header_key_sequence_start=my_start',
  'ts_header_key_sequence_end=my_end',
  'cors_allowed_origin=https://a.example',
  'cors_allowed_methods=GET, POST',
  'cors_allowed_headers=X-One',
  'disable_system_metrics=false',
  'metric_time_interval=1',
  'number_of_netty_threads=6',
  'netty_client_threads=7',
  'number_of_gpu=0',
  'system_metrics_cmd=ts/metrics/metric_collector.py --gpu 0',
  'prefer_direct_buffer=true',
  'vmargs=-Xmx1g',
  'io_ratio=70',
  'plugins_path=plugins/*.jar',
];

describeWithServer('settings in force', fill, { models: ['obey'], config }, (suite) => {
  const ask = async (code: string): Promise<string> =>
    (await suite.server.infer('/predictions/obey', { method: 'POST', body: code })).text;
  const register = async (query: string): Promise<Record<string, unknown>> => {
    const answer = await suite.server.admin(`/models?synchronous=true&${query}`, 'POST');
    assert.equal(answer.status, 200, answer.text);
    const name = /model_name=(\w+)/.exec(query)?.[1] ?? /url=(\w+)/.exec(query)?.[1] ?? '';
    const view = await suite.server.view(name);
    assert.equal((await suite.server.admin(`/models/${name}`, 'DELETE')).status, 200);
    return view;
  };
  const pick = (view: Record<string, unknown>, ...keys: string[]): unknown[] => keys.map((key) => view[key]);

  behaviour(
    '7.4',
    'same',
    'default_workers_per_model is for models of the start, and for the register API',
    async () => {
      assert.deepEqual(pick(await suite.server.ready('obey', 2), 'minWorkers', 'maxWorkers'), [2, 2]);
      assert.deepEqual(pick(await register('url=plain'), 'minWorkers', 'maxWorkers'), [2, 2]);
    },
  );

  behaviour(
    '7.4',
    'same',
    'describe shows default_response_timeout, default_startup_timeout, job_queue_size and initial_worker_port',
    async () => {
      const view = await suite.server.ready('obey', 2);
      assert.deepEqual(pick(view, 'responseTimeout', 'startupTimeout'), [31, 32]);
      assert.equal(view.jobQueueStatus.remainingCapacity, 33);
      assert.deepEqual(view.workers.map(({ id }) => id).toSorted(), ['9700', '9701']);
      // They are the last resort only.
      assert.deepEqual(
        pick(await register('url=plain&response_timeout=41&startup_timeout=42'), 'responseTimeout', 'startupTimeout'),
        [41, 42],
      );
    },
  );

  behaviour('7.4', 'same', 'default_service_handler serves archives that name no handler', async () => {
    assert.equal(
      (await suite.server.admin('/models?url=nameless&initial_workers=1&synchronous=true', 'POST')).status,
      200,
    );
    assert.equal((await suite.server.infer('/predictions/nameless')).text, 'OK');
  });

  behaviour(
    '7.4',
    'same',
    'workers see decode_input_request, ipex_enable and the sequence headers under the names that handlers read',
    async () => {
      const names = [
        'TS_DECODE_INPUT_REQUEST',
        'TS_IPEX_ENABLE',
        'TS_IPEX_GPU_ENABLE',
        'TS_REQUEST_SEQUENCE_ID',
        'TS_REQUEST_SEQUENCE_START',
        'TS_REQUEST_SEQUENCE_END',
      ];
      const code = `import os\nreturn [",".join(str(os.environ.get(name)) for name in ${JSON.stringify(names)})]`;
      assert.equal(await ask(code), 'false,true,false,my_id,my_start,my_end');
      assert.equal(await ask('return [type(data[0]["body"]).__name__]'), 'bytearray');
      assert.equal(await ask('return [context.header_key_sequence_end]'), 'my_end');
    },
  );

  behaviour('7.4', 'same', 'limit_max_image_pixels=false takes Pillow’s limit away from vision handlers', async () => {
    // A vision handler of its own, without weights to load.
    const code = [
      'from unittest import mock',
      'from ts.torch_handler.base_handler import BaseHandler',
      'from ts.torch_handler.vision_handler import VisionHandler',
      'from PIL import Image',
      'before = Image.MAX_IMAGE_PIXELS',
      'with mock.patch.object(BaseHandler, "initialize"):',
      '    VisionHandler().initialize(context)',
      'return [str(before is None) + str(Image.MAX_IMAGE_PIXELS is None)]',
    ];
    assert.equal(await ask(code.join('\n')), 'FalseTrue');
  });

  behaviour('7.4', 'same', 'the three cors_ keys are copied into every answer', async () => {
    const { headers } = await suite.server.infer('/ping');
    assert.deepEqual(
      ['origin', 'methods', 'headers'].map((name) => headers[`access-control-allow-${name}`]),
      ['https://a.example', 'GET, POST', 'X-One'],
    );
  });

  behaviour('7.4', 'same', 'metric_time_interval is the seconds between two readings of the machine', async () => {
    const readings = (): number[] =>
      [
        ...readFileSync(join(suite.server.dir, 'logs', 'ts_metrics.log'), 'utf8').matchAll(
          /DiskUtilization\.Percent:.*timestamp:(\d+)$/gm,
        ),
      ].map(([, time]) => Number(time));
    const deadline = performance.now() + 20_000;
    while (readings().length < 3 && performance.now() < deadline) await sleep(50);
    assert.ok(readings().length >= 3);
  });

  behaviour('7.4', 'same', 'the configuration is dumped at the start, one line for each item, in this order', () => {
    const told = [...suite.server.output().matchAll(/ org\.pytorch\.serve\.ModelServer - ([A-Z][\w ]+): (.*)$/gm)];
    const { dir, inference, management, metrics } = suite.server;
    const values: Record<string, string> = {
      'Torchserve version': '0.12.0',
      'TS Home': '*',
      'Current directory': dir,
      'Temp directory': dir,
      'Metrics config path': '*',
      'Number of GPUs': '0',
      'Number of CPUs': '*',
      'Max heap size': '*',
      'Python executable': PYTHON,
      'Config file': join(dir, 'davy.properties'),
      'Inference address': inference,
      'Management address': management,
      'Metrics address': metrics,
      'Model Store': suite.store.dir,
      'Initial Models': 'obey',
      'Log dir': join(dir, 'logs'),
      'Metrics dir': join(dir, 'logs'),
      'Netty threads': '6',
      'Netty client threads': '7',
      'Default workers per model': '2',
      'Blacklist Regex': 'N/A',
      'Maximum Response Size': '6553500',
      'Maximum Request Size': '6553500',
      'Limit Maximum Image Pixels': 'false',
      'Prefer direct buffer': 'true',
      'Allowed Urls': '[]',
      'Custom python dependency for model allowed': 'false',
      'Enable metrics API': 'true',
      'Metrics mode': 'log',
      'Disable system metrics': 'false',
      'Workflow Store': suite.store.dir,
      'CPP log config': 'N/A',
      'Model config': JSON.stringify(MODELS),
      'System metrics command': 'ts/metrics/metric_collector.py --gpu 0',
      'Model API enabled': 'true',
    };
    assert.deepEqual(
      told
        .slice(0, Object.keys(values).length)
        .map(([, item, value]) => [item, values[item ?? ''] === '*' ? '*' : value]),
      Object.entries(values),
    );
    assert.match(suite.server.output(), / - Max heap size: \d+ M$/m);
  });

  behaviour(
    '7.4',
    'absent',
    'keys that tune Java’s machine or call a program for metrics do nothing, and the log names them',
    () => {
      const line = /Without meaning in Davy, ignored: (.*)/.exec(suite.server.output())?.[1] ?? '';
      for (const key of [
        'number_of_netty_threads',
        'netty_client_threads',
        'prefer_direct_buffer',
        'io_ratio',
        'vmargs',
        'system_metrics_cmd',
      ]) {
        assert.ok(line.includes(`${key} (`), `${key}: ${line}`);
      }
    },
  );

  behaviour(
    '12.8',
    'absent',
    'Java plugins are not loaded: plugins_path is accepted, and the log says that it does nothing',
    () => {
      assert.match(suite.server.output(), /Without meaning in Davy, ignored: .*plugins_path \(/);
    },
  );

  behaviour(
    '7.6',
    'same',
    'batches: the request, then the YAML, then models=, then the default; worker counts of models= are for the start',
    async () => {
      const batches = async (query: string): Promise<unknown[]> =>
        pick(await register(query), 'batchSize', 'maxBatchDelay', 'minWorkers');
      assert.deepEqual(await batches('url=both&initial_workers=0&batch_size=5&max_batch_delay=6'), [5, 6, 0]);
      assert.deepEqual(await batches('url=both&initial_workers=0'), [7, 40, 0]);
      assert.deepEqual(await batches('url=plain&initial_workers=0'), [4, 100, 0]);
      assert.deepEqual(await batches('url=plain&model_name=other&initial_workers=0'), [1, 100, 0]);
    },
  );

  behaviour(
    '7.6',
    'same',
    'timeouts: the YAML, of which 120 is the default, then models=, then the request, then the default',
    async () => {
      const timeouts = async (query: string): Promise<unknown[]> =>
        pick(
          await register(`initial_workers=0&response_timeout=71&startup_timeout=72&${query}`),
          'responseTimeout',
          'startupTimeout',
        );
      assert.deepEqual(await timeouts('url=both'), [61, 120]);
      assert.deepEqual(await timeouts('url=plain&model_name=timed'), [51, 72]);
      assert.deepEqual(await timeouts('url=plain'), [71, 72]);
    },
  );

  behaviour('7.6', 'same', 'runtimeType of models= is the runtime, where the request names none', async () => {
    assert.equal((await register('url=both&initial_workers=0'))['runtime'], 'python3');
    assert.equal((await register('url=both&initial_workers=0&runtime=python'))['runtime'], 'python');
    assert.equal((await register('url=plain&initial_workers=0'))['runtime'], 'python');
  });
});

describe('load_models', () => {
  const loaded = async (lines: readonly string[]): Promise<{ names: readonly string[]; output: string }> => {
    using store = makeModelStore();
    for (const name of ['one', 'two']) store.addArchive(`${name}.mar`, name, NOOP);
    store.addArchive('three.model', 'three', NOOP);
    await using server = await startCompatServer({
      modelStore: store.dir,
      config: ['default_workers_per_model=0', 'cpu_budget=2', ...lines],
    });
    const { models } = (await server.admin('/models')).json<{ models: { modelName: string }[] }>();
    for (const { modelName } of models) assert.equal((await server.view(modelName))['minWorkers'], 2);
    return { names: models.map(({ modelName }) => modelName), output: server.output() };
  };

  behaviour(
    '7.5',
    'same',
    'empty entries are skipped, a name stands before the first =, blanks are part of the name, and without a number there is a worker for each CPU',
    async () => {
      const { names, output } = await loaded(['load_models=,a=one.mar,, two.mar,']);
      assert.deepEqual(names, ['a']);
      assert.match(output, /Failed to load model: {2}two\.mar/);
    },
  );

  behaviour('7.5', 'same', 'ALL is all, in any case, *.model too; models= alone loads nothing', async () => {
    assert.deepEqual((await loaded(['load_models=ALL'])).names, ['one', 'three', 'two']);
    assert.deepEqual(
      (await loaded(['models={"one":{"1.0":{"minWorkers":1,"marName":"one.mar"}}}', 'load_models='])).names,
      [],
    );
  });
});

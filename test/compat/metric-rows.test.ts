// The tables of metrics (surface spec 4.3, 4.4, 4.7), row by row, and the metrics.yaml that makes them (4.5).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { InferenceAPIsService, PredictionsRequestSchema } from '../../src/grpc/gen/inference_pb.ts';
import { startCompatServer, type CompatServer } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { exchange } from '../support/http-exchange.ts';
import { makeModelStore, SLOW_ECHO, type TestStore } from '../support/model-store.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { parsePrometheusText, type Family } from '../support/prometheus-text.ts';
import { portOf } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

type Families = ReadonlyMap<string, Family>;

const scrape = async (server: CompatServer, query = ''): Promise<string> =>
  (await fetch(`${server.metrics}/metrics${query}`)).text();

/** Metrics follow their answer; the limit is generous, the wait is not. */
async function until<T>(look: () => Promise<T> | T, isIt: (found: T) => boolean): Promise<T> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const found = await look();
    if (isIt(found) || performance.now() > deadline) return found;
    await sleep(20);
  }
}

const families = async (server: CompatServer): Promise<Families> => parsePrometheusText(await scrape(server));
const sum = (found: Families, name: string): number =>
  (found.get(name)?.samples ?? []).reduce((total, { value }) => total + value, 0);

/** Name, type, unit and dimensions of surface spec 4.3 and 4.4, in their order; what has samples on a machine without a GPU. */
const ROWS: readonly (readonly [name: string, type: string, unit: string, dimensions: readonly string[]])[] = [
  ['Requests2XX', 'counter', 'Count', ['Level', 'Hostname']],
  ['Requests4XX', 'counter', 'Count', ['Level', 'Hostname']],
  ['Requests5XX', 'counter', 'Count', ['Level', 'Hostname']],
  ['ts_inference_requests_total', 'counter', 'Count', ['model_name', 'model_version', 'hostname']],
  ['ts_inference_latency_microseconds', 'counter', 'Microseconds', ['model_name', 'model_version', 'hostname']],
  ['ts_queue_latency_microseconds', 'counter', 'Microseconds', ['model_name', 'model_version', 'hostname']],
  ['QueueTime', 'gauge', 'Milliseconds', ['Level', 'Hostname']],
  ['WorkerThreadTime', 'gauge', 'Milliseconds', ['Level', 'Hostname']],
  ['WorkerLoadTime', 'gauge', 'Milliseconds', ['WorkerName', 'Level', 'Hostname']],
  ['CPUUtilization', 'gauge', 'Percent', ['Level', 'Hostname']],
  ['MemoryUsed', 'gauge', 'Megabytes', ['Level', 'Hostname']],
  ['MemoryAvailable', 'gauge', 'Megabytes', ['Level', 'Hostname']],
  ['MemoryUtilization', 'gauge', 'Percent', ['Level', 'Hostname']],
  ['DiskUsage', 'gauge', 'Gigabytes', ['Level', 'Hostname']],
  ['DiskAvailable', 'gauge', 'Gigabytes', ['Level', 'Hostname']],
  ['DiskUtilization', 'gauge', 'Percent', ['Level', 'Hostname']],
  ['PredictionTime', 'gauge', 'ms', ['ModelName', 'Level', 'Hostname']],
  ['HandlerTime', 'gauge', 'ms', ['ModelName', 'Level', 'Hostname']],
];
const GPU_ROWS = [
  ['GPUMemoryUtilization', 'Percent'],
  ['GPUMemoryUsed', 'Megabytes'],
  ['GPUUtilization', 'Percent'],
] as const;

const CALLS = `from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes
m = context.metrics
m.add_counter("CCounter", 10000000)
m.add_time("CTime", 1.5, unit="s", dimensions=[Dimension("Stage", "middle")])
m.add_time("CTimeMs", 1.5)
m.add_size("CSize", 3)
m.add_size("CKilo", 3, unit="kB")
m.add_size("CGiga", 3, unit="GB")
m.add_size("CByte", 3, unit="B")
m.add_percent("CPercent", 50)
m.add_error("CError", 1)
m.add_metric("CAny", 7, "widgets", dimensions=[Dimension("ModelName", "other"), Dimension("Level", "mine")])
m.add_metric("CSeconds", 0.3, "s", metric_type=MetricTypes.HISTOGRAM)
cached = m.add_metric_to_cache("CCached", "count", ["ModelName", "Level"], MetricTypes.COUNTER)
cached.add_or_update(2, ["obey", "Model"])
cached.add_or_update(-1, ["obey", "Model"])
cached.update(3, dimensions=[Dimension("Level", "Model"), Dimension("ModelName", "obey")])
assert m.get_metric("CCached") is cached
m.add_time("HandlerTime", 4.5)
return ["x"]`;

/** What those calls give: type, unit, labels before the host name, value. */
const MADE = [
  ['CCounter', 'counter', 'Count', { ModelName: 'obey', Level: 'Model' }, 1e7],
  ['CTime', 'gauge', 'Seconds', { Stage: 'middle', ModelName: 'obey', Level: 'Model' }, 1.5],
  ['CTimeMs', 'gauge', 'Milliseconds', { ModelName: 'obey', Level: 'Model' }, 1.5],
  ['CSize', 'gauge', 'Megabytes', { ModelName: 'obey', Level: 'Model' }, 3],
  ['CKilo', 'gauge', 'Kilobytes', { ModelName: 'obey', Level: 'Model' }, 3],
  ['CGiga', 'gauge', 'Gigabytes', { ModelName: 'obey', Level: 'Model' }, 3],
  ['CByte', 'gauge', 'Bytes', { ModelName: 'obey', Level: 'Model' }, 3],
  ['CPercent', 'gauge', 'Percent', { ModelName: 'obey', Level: 'Model' }, 50],
  ['CError', 'counter', 'unit', { ModelName: 'obey', Level: 'Error' }, 1],
  ['CCached', 'counter', 'Count', { ModelName: 'obey', Level: 'Model' }, 5],
] as const;

const fill = (store: TestStore): void => {
  store.add('obey', OBEY);
  store.add('full', SLOW_ECHO, { config: 'minWorkers: 1\nmaxWorkers: 1\njobQueueSize: 1\n' });
};
const config = ['metrics_mode= PROMETHEUS ', 'model_metrics_auto_detect=true', 'disable_system_metrics=false'];

describeWithServer('every metric', fill, { models: ['obey', 'full'], config }, (suite) => {
  const obey = (code: string): Promise<unknown> =>
    suite.server.infer('/predictions/obey', { method: 'POST', body: code });
  before(async () => {
    await suite.server.ready('obey');
    await obey(CALLS);
    await suite.server.infer('/nowhere');
    await obey('context.set_response_status(503, "no", 0)\nreturn ["x"]');
  });

  behaviour(
    '4.3',
    'same',
    'every row of the tables is there: name, type, unit, dimensions in their order, and the host last',
    async () => {
      const found = await until(
        () => families(suite.server),
        (seen) => ROWS.every(([name]) => (seen.get(name)?.samples.length ?? 0) > 0),
      );
      for (const [name, type, unit, dimensions] of ROWS) {
        const family = found.get(name);
        assert.equal(family?.type, type, name);
        assert.equal(family?.help, `Torchserve prometheus ${type} metric with unit: ${unit}`);
        assert.deepEqual([...(family?.samples[0]?.labels.keys() ?? [])], dimensions, name);
      }
      for (const [name, unit] of GPU_ROWS) {
        assert.equal(found.get(name)?.help, `Torchserve prometheus gauge metric with unit: ${unit}`);
      }
    },
  );

  behaviour('4.3', 'same', 'the machine’s seven metrics are what the machine says, from the start on', async () => {
    const found = await until(
      () => families(suite.server),
      (seen) => seen.get('DiskUtilization')?.samples.length === 1,
    );
    const value = (name: string): number => found.get(name)?.samples[0]?.value ?? Number.NaN;
    for (const name of ['CPUUtilization', 'MemoryUtilization', 'DiskUtilization']) {
      assert.ok(value(name) >= 0 && value(name) <= 100, `${name} ${value(name)}`);
    }
    for (const name of ['MemoryUsed', 'MemoryAvailable', 'DiskUsage', 'DiskAvailable']) {
      assert.ok(value(name) > 0, `${name} ${value(name)}`);
    }
  });

  behaviour('4.7', 'same', 'each call of context.metrics makes its type, its unit and its labels', async () => {
    const found = await until(
      () => families(suite.server),
      (seen) => seen.has('CSeconds'),
    );
    for (const [name, type, unit, labels, value] of MADE) {
      const family = found.get(name);
      assert.equal(family?.type, type, name);
      assert.equal(family?.help, `Torchserve prometheus ${type} metric with unit: ${unit}`);
      const { Hostname, ...rest } = Object.fromEntries(family?.samples[0]?.labels ?? []);
      assert.deepEqual(rest, labels, name);
      assert.notEqual(Hostname, undefined);
      assert.equal(family?.samples[0]?.value, value, name);
    }
    assert.equal(found.get('CAny')?.samples[0]?.labels.get('Level'), 'mine');
    assert.match(await scrape(suite.server), /^CCounter\{ModelName="obey",Level="Model",Hostname=".+",\} 1\.0E7$/m);
    await suite.server.until(/MODEL_LOG - .*CCached/);
  });

  behaviour('4.7', 'stricter', 'a worker’s metrics carry the name of its own model, whatever it says', async () => {
    const found = await families(suite.server);
    assert.equal(found.get('CAny')?.samples[0]?.labels.get('ModelName'), 'obey');
  });

  behaviour(
    '4.1',
    'same',
    'histograms have the client’s fourteen buckets and +Inf; name[] takes X_bucket, X_sum and X_count',
    async () => {
      const text = await until(
        () => scrape(suite.server, '?name[]=CSeconds_bucket&name[]=CSeconds_sum'),
        (seen) => seen.includes('CSeconds_sum'),
      );
      const bounds = [...text.matchAll(/^CSeconds_bucket\{.*le="(.+)",\} (\S+)$/gm)].map(([, le, value]) => [
        le,
        value,
      ]);
      const low = ['0.005', '0.01', '0.025', '0.05', '0.075', '0.1', '0.25'];
      const high = ['0.5', '0.75', '1.0', '2.5', '5.0', '7.5', '10.0', '+Inf'];
      assert.deepEqual(bounds, [...low.map((le) => [le, '0.0']), ...high.map((le) => [le, '1.0'])]);
      assert.match(text, /^CSeconds_sum\{.*\} 0\.3$/m);
      assert.doesNotMatch(text, /CSeconds_count|CCounter/);
      assert.equal(await scrape(suite.server, '?name[]=CSeconds'), '');
    },
  );

  behaviour('4.1', 'same', 'any method scrapes, and counters never fall between two scrapes', async () => {
    const first = await families(suite.server);
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const answer = await exchange(`${suite.server.metrics}/metrics`, { method });
      assert.equal(answer.status, 200, method);
      const later = parsePrometheusText(answer.text);
      for (const [name, { type }] of first) {
        if (type === 'counter') assert.ok(sum(later, name) >= sum(first, name), name);
      }
    }
  });

  behaviour('4.3', 'same', 'an answer counts by its status on whatever listener, a stream once', async () => {
    const total = async (name: string): Promise<number> => sum(await families(suite.server), name);
    for (const [name, ask] of [
      ['Requests2XX', () => suite.server.infer('/ping')],
      ['Requests4XX', () => suite.server.admin('/models/none')],
      ['Requests5XX', () => obey('context.set_response_status(302, "see", 0)\nreturn ["x"]')],
      ['Requests5XX', () => obey('raise ValueError("no")')],
      [
        'Requests2XX',
        () =>
          obey(
            'from ts.handler_utils.utils import send_intermediate_predict_response as send\n' +
              'send(["a"], context.request_ids, "Intermediate", 200, context)\nreturn ["b"]',
          ),
      ],
    ] as const) {
      // The scrapes of this test are answers, too: they count once each, for Requests2XX.
      let scrapes = 1;
      const before = await total(name);
      await ask();
      const isScrape = name === 'Requests2XX';
      const wanted = (): number => before + 1 + (isScrape ? scrapes : 0);
      const seen = await until(
        async () => {
          const found = await total(name);
          const isDone = found >= wanted();
          const result = [found, wanted(), isDone] as const;
          scrapes += 1;
          return result;
        },
        ([, , isDone]) => isDone,
      );
      assert.equal(seen[0], seen[1], name);
    }
  });

  behaviour(
    '4.3',
    'same',
    'gRPC requests count as inferences, but not as Requests2XX, and their latencies are not summed up',
    async () => {
      const before = await families(suite.server);
      using client = new GrpcClient(portOf(suite.server.grpcInference));
      const input = { body: Buffer.from('return ["x"]') };
      const request = create(PredictionsRequestSchema, { modelName: 'obey', modelVersion: '1.0', input });
      await client.unary(InferenceAPIsService.method.predictions, request);
      const after = await until(
        () => families(suite.server),
        (seen) => sum(seen, 'ts_inference_requests_total') > sum(before, 'ts_inference_requests_total'),
      );
      const grown = (name: string): number => sum(after, name) - sum(before, name);
      assert.equal(grown('ts_inference_requests_total'), 1);
      assert.equal(grown('ts_inference_latency_microseconds'), 0);
      assert.equal(grown('ts_queue_latency_microseconds'), 0);
      assert.equal(grown('Requests4XX') + grown('Requests5XX'), 0);
    },
  );

  behaviour('4.3', 'same', 'a request counts as an inference even where the queue is full', async () => {
    await suite.server.ready('full');
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => suite.server.infer('/predictions/full', { method: 'POST', body: '0.3:x' })),
    );
    assert.ok(answers.some(({ status }) => status === 503));
    const text = await until(
      () => scrape(suite.server, '?name[]=ts_inference_requests_total'),
      (seen) => seen.includes('model_name="full"'),
    );
    assert.match(
      text,
      /^ts_inference_requests_total\{model_name="full",model_version="default",hostname=".+",\} 6\.0$/m,
    );
  });

  behaviour('4.2', 'same', 'in prometheus mode the metrics files stay empty', () => {
    for (const file of ['ts_metrics.log', 'model_metrics.log']) {
      assert.equal(readFileSync(join(suite.server.dir, 'logs', file), 'utf8'), '');
    }
  });
});

const CUSTOM = `
dimensions:
  - &level "Tier"
  - &host "Machine"
ts_metrics:
  counter:
    - name: Requests2XX
      unit: Answers
      dimensions: [*level, *host]
    - name: ts_inference_requests_total
      unit: Count
      dimensions: [one, too, many, labels]
  gauge:
    - name: NeverSet
      unit: Things
      dimensions: [*level, *host]
model_metrics:
  counter:
    - name: Rows
      unit: count
      dimensions: [ModelName, Level, Hostname]
    - name: Narrow
      unit: count
      dimensions: [ModelName]
    - name: Rows
      unit: twice
      dimensions: []
    - name: Dashed
      unit: count
      dimensions: [Model-Name]
  histogram:
    - name: HandlerTime
      unit: ms
      dimensions: [ModelName, Level]
`;

describe('metrics.yaml', () => {
  let store: TestStore;
  let dir = '';
  before(() => {
    store = makeModelStore();
    store.add('obey', OBEY);
    dir = mkdtempSync(join(tmpdir(), 'davy-yaml-'));
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const yaml = (text: string): string => {
    const file = join(dir, 'metrics.yaml');
    writeFileSync(file, text);
    return file;
  };

  behaviour(
    '4.5',
    'same',
    'only what it names exists, with its unit, its type and its dimension names, values by position',
    async () => {
      const settings = [`metrics_config=${yaml(CUSTOM)}`, 'metrics_mode=prometheus'];
      await using server = await startCompatServer({ modelStore: store.dir, models: ['obey'], config: settings });
      await server.ready('obey');
      const metrics = 'context.metrics.add_counter("Rows", 2)\ncontext.metrics.add_time("HandlerTime", 3)\n';
      const more = 'context.metrics.add_counter("Unlisted", 2)\ncontext.metrics.add_counter("Narrow", 2)\n';
      const body = `from ts.metrics.metric_type_enum import MetricTypes\n${metrics}${more}return ["x"]`;
      assert.equal((await server.infer('/predictions/obey', { method: 'POST', body })).status, 200);
      const text = await until(
        () => scrape(server),
        (seen) => seen.includes('Rows{') && seen.includes('Requests2XX{'),
      );
      const named = ['Requests2XX', 'ts_inference_requests_total', 'NeverSet', 'Rows', 'Narrow', 'HandlerTime'];
      const ours = [...parsePrometheusText(text).keys()].filter((name) => !name.startsWith('davy_'));
      assert.deepEqual(ours, named);
      assert.match(text, /^# HELP Requests2XX Torchserve prometheus counter metric with unit: Answers$/m);
      assert.match(text, /^Requests2XX\{Tier="Host",Machine=".+",\} \d+\.0$/m);
      assert.match(text, /^Rows\{ModelName="obey",Level="Model",Hostname=".+",\} 2\.0$/m);
      await server.until(/\[ERROR\] .* The metric Rows of metrics\.yaml is left out/);
      await server.until(/\[ERROR\] .* The metric Dashed of metrics\.yaml is left out/);
      // The number of values is not the number of dimensions.
      await server.until(/Failed to update backend metric.*Narrow/);
      assert.doesNotMatch(text, /^(Narrow|ts_inference_requests_total)\{/m);
    },
  );

  behaviour(
    '4.5',
    'stricter',
    'one that cannot be used stops the start and says where it is wrong, instead of a server without metrics',
    () => {
      for (const [text, reason] of [
        ['ts_metrics: [', ''],
        ['surprise: 1\nts_metrics: {}\n', 'surprise'],
        ['ts_metrics:\n  counter:\n    - name: X\n      dimensions: []\n', 'unit'],
      ] as const) {
        const file = yaml(text);
        const bin = join(import.meta.dirname, '..', '..', 'bin', 'davy');
        const args = [bin, 'serve', '--ncs', '-s', store.dir, '--isolation', 'none', '--pid-file', join(dir, 'pid')];
        const sets = ['--set', `metrics_config=${file}`, `state_dir=${join(dir, 'state')}`];
        const { status, stdout } = spawnSync(process.execPath, [...args, ...sets], {
          cwd: dir,
          encoding: 'utf8',
          timeout: 30_000,
          env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir },
        });
        assert.equal(status, 1, stdout);
        assert.match(
          stdout,
          new RegExp(`^Invalid configuration: Failed to load metrics configuration: ${file}: .*${reason}`, 'm'),
        );
      }
    },
  );

  behaviour('4.2', 'same', 'an unknown metrics_mode is named in the log and means log', async () => {
    await using server = await startCompatServer({ modelStore: store.dir, config: ['metrics_mode=graphite'] });
    await server.until(/metrics_mode at \S+ is "graphite", which is no metrics mode; log is used/);
    assert.equal((await server.infer('/ping')).status, 200);
    assert.equal(await scrape(server), '');
    await server.until(/TS_METRICS - Requests2XX\.Count:1\.0/);
  });
});

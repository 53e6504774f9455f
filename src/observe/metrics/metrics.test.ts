import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Announcements, type InferenceEvent } from '../../serving/index.ts';
import { clockAt } from '../../../test/support/manual-clock.ts';
import { createMetrics, type Metrics, type MetricsOptions } from './metrics.ts';
import { defaultMetricsConfig, NO_METRICS, parseMetricsConfig } from './metrics-config.ts';
import { parseMetricsMode } from './metric-set.ts';

interface Opened {
  readonly metrics: Metrics;
  readonly announcements: Announcements;
  readonly lines: string[];
}

function open(t: TestContext, options: Partial<MetricsOptions> = {}): Opened {
  const announcements = new Announcements();
  const lines: string[] = [];
  const metrics = createMetrics({
    announcements,
    mode: 'prometheus',
    config: defaultMetricsConfig(),
    isAutoDetecting: false,
    systemIntervalMs: undefined,
    writeLine: (stream, line) => lines.push(`${stream} ${line}`),
    hostname: 'h',
    clock: clockAt(1_717_105_307_250),
    ...options,
  });
  t.after(() => metrics[Symbol.asyncDispose]());
  return { metrics, announcements, lines };
}

const inference = (kind: InferenceEvent['kind'], change: Partial<InferenceEvent> = {}): InferenceEvent => ({
  kind,
  model: 'm',
  version: '1.0',
  requestedVersion: undefined,
  queueMs: 1.5,
  totalMs: 12.345,
  batchSize: 1,
  isRpc: false,
  ...change,
});

const exchange = (listener: 'inference' | 'grpc-inference', status: number) => ({
  listener,
  remote: '127.0.0.1:1',
  method: 'POST',
  target: '/',
  protocol: 'HTTP/1.1',
  status,
  durationMs: 1,
  requestId: undefined,
});

const samples = (text: string): string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

test('an inference updates the request, latency and queue metrics of the version that was asked for', (t) => {
  const { metrics, announcements } = open(t);
  announcements.inference.publish(inference('accepted'));
  announcements.inference.publish(inference('answered'));
  announcements.inference.publish(inference('accepted', { requestedVersion: '1.0' }));
  announcements.inference.publish(inference('failed', { requestedVersion: '1.0' }));
  assert.deepEqual(
    samples(metrics.render(['ts_inference_requests_total', 'ts_inference_latency_microseconds', 'QueueTime'])),
    [
      'ts_inference_requests_total{model_name="m",model_version="default",hostname="h",} 1.0',
      'ts_inference_requests_total{model_name="m",model_version="1.0",hostname="h",} 1.0',
      'ts_inference_latency_microseconds{model_name="m",model_version="default",hostname="h",} 12345.0',
      'ts_inference_latency_microseconds{model_name="m",model_version="1.0",hostname="h",} 0.0',
      'QueueTime{Level="Host",Hostname="h",} 1.0',
    ],
  );
});

test('only REST responses are counted by status class, and everything odd is 5XX', (t) => {
  const { metrics, announcements } = open(t);
  for (const status of [200, 202, 400, 500, 302, 101]) announcements.access.publish(exchange('inference', status));
  announcements.access.publish(exchange('grpc-inference', 13));
  assert.deepEqual(samples(metrics.render(['Requests2XX', 'Requests4XX', 'Requests5XX'])), [
    'Requests2XX{Level="Host",Hostname="h",} 2.0',
    'Requests4XX{Level="Host",Hostname="h",} 1.0',
    'Requests5XX{Level="Host",Hostname="h",} 3.0',
  ]);
});

test("a worker's load time disappears with the worker", (t) => {
  const { metrics, announcements } = open(t);
  const worker = { workerId: '9000', model: 'm', version: '1.0' };
  announcements.worker.publish({ ...worker, event: { kind: 'loaded', loadMs: 42.4 } });
  assert.deepEqual(samples(metrics.render(['WorkerLoadTime'])), [
    'WorkerLoadTime{WorkerName="W-9000-m_1.0",Level="Host",Hostname="h",} 42.0',
  ]);
  announcements.worker.publish({
    ...worker,
    event: { kind: 'state', from: 'WORKER_MODEL_LOADED', to: 'WORKER_SCALED_DOWN' },
  });
  assert.equal(metrics.render(['WorkerLoadTime']), '');
});

const handlerTime = (model: string) => ({
  n: 'HandlerTime',
  v: 12.34,
  u: 'Milliseconds',
  type: 'gauge',
  d: [
    ['ModelName', model],
    ['Level', 'Model'],
  ],
  q: 'r1',
});

test('handler metrics are matched by position and labelled with the model they came from', (t) => {
  const { metrics, announcements } = open(t);
  announcements.handlerMetrics.publish({ model: 'm', version: '1.0', samples: [handlerTime('somebody-else')] });
  assert.deepEqual(samples(metrics.render(['HandlerTime'])), [
    'HandlerTime{ModelName="m",Level="Model",Hostname="h",} 12.34',
  ]);
});

test('hostile samples change nothing, and say so once', (t) => {
  const { metrics, announcements } = open(t, { isAutoDetecting: true });
  const notices: string[] = [];
  announcements.notice.subscribe(({ message }) => notices.push(message));
  const before = metrics.render();
  const sample = { v: 1, u: 'x', type: 'counter', d: [] };
  const hostile = [
    null,
    7,
    { ...sample, n: 'bad name' },
    { ...sample, n: 'davy_request_time_seconds' },
    { ...sample, n: 'ts_inference_x' },
    { ...sample, n: 'Requests2XX' },
    { ...handlerTime('m'), d: [] },
    { ...sample, n: 'A', d: [['Hostname', 'x']] },
  ];
  announcements.handlerMetrics.publish({ model: 'm', version: '1', samples: [...hostile, ...hostile] });
  assert.equal(metrics.render(), before);
  assert.deepEqual(notices, [
    'Dropped a metric of model m that is not well-formed',
    'Failed to update backend metric HandlerTime',
  ]);
});

test('unknown handler metrics are dropped, or created by auto-detection up to a cap', (t) => {
  const custom = (name: string) => ({ n: name, v: 2, u: 'count', type: 'counter', d: [['Level', 'Model']] });
  const strict = open(t);
  strict.announcements.handlerMetrics.publish({ model: 'm', version: '1', samples: [custom('Mine')] });
  assert.equal(strict.metrics.render(['Mine']), '');
  const detecting = open(t, { isAutoDetecting: true });
  detecting.announcements.handlerMetrics.publish({ model: 'm', version: '1', samples: [custom('Mine')] });
  assert.equal(
    detecting.metrics.render(['Mine']),
    '# HELP Mine Torchserve prometheus counter metric with unit: Count\n# TYPE Mine counter\nMine{Level="Model",Hostname="h",} 2.0\n',
  );
  const flood = Array.from({ length: 900 }, (_, at) => custom(`Flood${at}`));
  detecting.announcements.handlerMetrics.publish({ model: 'm', version: '1', samples: flood });
  assert.equal(detecting.metrics.render().match(/^# TYPE Flood/gm)?.length, 199);
});

test('log mode answers with nothing and writes the lines', (t) => {
  const { metrics, announcements, lines } = open(t, { mode: 'log' });
  announcements.inference.publish(inference('answered'));
  announcements.handlerMetrics.publish({ model: 'm', version: '1.0', samples: [handlerTime('m')] });
  assert.equal(metrics.render(), '');
  assert.deepEqual(lines, [
    'ts_metrics ts_inference_latency_microseconds.Microseconds:12345.0|#model_name:m,model_version:default|#hostname:h,timestamp:1717105307',
    'ts_metrics ts_queue_latency_microseconds.Microseconds:1500.0|#model_name:m,model_version:default|#hostname:h,timestamp:1717105307',
    'ts_metrics QueueTime.Milliseconds:1.0|#Level:Host|#hostname:h,timestamp:1717105307',
    'model_metrics HandlerTime.ms:12.34|#ModelName:m,Level:Model|#hostname:h,requestID:r1,timestamp:1717105307',
  ]);
});

test('legacy mode answers with three counters and logs the rest', (t) => {
  const { metrics, announcements, lines } = open(t, { mode: 'legacy' });
  announcements.inference.publish(inference('answered'));
  assert.deepEqual(metrics.render().match(/^# TYPE .*/gm), [
    '# TYPE ts_inference_requests_total counter',
    '# TYPE ts_inference_latency_microseconds counter',
    '# TYPE ts_queue_latency_microseconds counter',
  ]);
  assert.deepEqual(lines, ['ts_metrics QueueTime.Milliseconds:1.0|#Level:Host|#hostname:h,timestamp:1717105307']);
});

test('prometheus mode adds histograms of where the time goes', (t) => {
  const { metrics, announcements } = open(t);
  announcements.inference.publish(inference('answered'));
  announcements.batch.publish({ model: 'm', version: '1.0', workerId: '9000', batchSize: 1, workerMs: 3 });
  announcements.handlerMetrics.publish({
    model: 'm',
    version: '1.0',
    samples: [{ ...handlerTime('m'), n: 'PredictionTime' }],
  });
  const names = ['request', 'queue', 'batch', 'handler'].map((what) => `davy_${what}_time_seconds_sum`);
  assert.deepEqual(samples(metrics.render(names)), [
    'davy_request_time_seconds_sum{model_name="m",model_version="1.0",} 0.012345',
    'davy_queue_time_seconds_sum{model_name="m",model_version="1.0",} 0.0015',
    'davy_batch_time_seconds_sum{model_name="m",model_version="1.0",} 0.003',
    'davy_handler_time_seconds_sum{model_name="m",model_version="1.0",} 0.01234',
  ]);
});

test('a metric that metrics.yaml does not name is not emitted', (t) => {
  const { metrics, announcements } = open(t, { config: NO_METRICS });
  announcements.access.publish(exchange('inference', 200));
  announcements.inference.publish(inference('accepted'));
  assert.doesNotMatch(metrics.render(), /Requests2XX|ts_inference/);
});

test('dimensions that do not fit leave the metric without samples', (t) => {
  const config = parseMetricsConfig(
    'ts_metrics: {counter: [{name: Requests2XX, unit: Count, dimensions: [Level, Extra, Hostname]}]}',
  );
  const { metrics, announcements } = open(t, { config });
  announcements.access.publish(exchange('inference', 200));
  assert.equal(metrics.render(['Requests2XX']), '');
});

test('the machine is sampled at the start', async (t) => {
  const host = {
    cpuPercent: 12.34567,
    memoryUsedBytes: 2 ** 30,
    memoryAvailableBytes: 2 ** 31,
    memoryPercent: 33.3,
    diskUsedBytes: 2 ** 31,
    diskAvailableBytes: 2 ** 32,
    diskPercent: 33.3,
  };
  const { metrics } = open(t, { systemIntervalMs: 60_000, readHost: () => Promise.resolve(host) });
  await new Promise(setImmediate);
  assert.deepEqual(samples(metrics.render(['CPUUtilization', 'MemoryUsed', 'DiskAvailable'])), [
    'CPUUtilization{Level="Host",Hostname="h",} 12.346',
    'MemoryUsed{Level="Host",Hostname="h",} 1024.0',
    'DiskAvailable{Level="Host",Hostname="h",} 4.0',
  ]);
});

test('the mode is read without regard to case and blanks', () => {
  assert.equal(parseMetricsMode(' Prometheus '), 'prometheus');
  assert.equal(parseMetricsMode('prom'), undefined);
});

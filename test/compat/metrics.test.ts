// Metrics as dashboards and log shippers know them (surface spec 4), from the real server with a handler that makes its own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeWithServer, type Suite } from '../support/compat-suite.ts';
import type { TestStore } from '../support/model-store.ts';
import { parsePrometheusText } from '../support/prometheus-text.ts';
import { behaviour } from './behaviour.ts';

const MEASURING = `
from ts.metrics.dimension import Dimension

def handle(data, context):
    if data is None:
        return None
    metrics = context.metrics
    metrics.add_counter("RowsSeen", len(data))
    metrics.add_time("HandlerTime", 12.5)
    metrics.add_size("Odd", 0.1, unit="B", dimensions=[Dimension("Path", 'C:\\\\new "one"')])
    print("[METRICS]Forged.Count:1|#Level:Model|#type:COUNTER|#hostname:h,1717105307")
    return ["OK"] * len(data)
`;
/** Measures the batch as a whole, and its second request alone. */
const PAIR = `
def handle(data, context):
    if data is None:
        return None
    if len(data) == 2:
        context.metrics.add_time("HandlerTime", 1)
        context.metrics.add_time("HandlerTime", 2, idx=1)
    return ["OK"] * len(data)
`;
const fill = (store: TestStore): void => {
  store.add('m', MEASURING);
  store.add('pair', PAIR, { config: 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 2\nmaxBatchDelay: 500\n' });
};

async function scrape({ server }: Suite, query = ''): Promise<{ readonly text: string; readonly response: Response }> {
  const response = await fetch(`${server.metrics}/metrics${query}`);
  return { text: await response.text(), response };
}

/** A worker's metrics travel beside its answer, and lines are written in batches. */
async function eventually<T>(look: () => T | Promise<T>, isIt: (found: T) => boolean): Promise<T> {
  let found = await look();
  for (let attempt = 0; attempt < 1000 && !isIt(found); attempt++) {
    await sleep(20);
    found = await look();
  }
  return found;
}

const prometheus = ['metrics_mode=prometheus', 'model_metrics_auto_detect=true'];
describeWithServer('metrics in prometheus mode', fill, { models: ['m'], config: prometheus }, (suite) => {
  behaviour('4.1', 'same', 'every configured metric has its HELP and TYPE line, with samples or without', async () => {
    const { text, response } = await scrape(suite);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    for (const [name, type, unit] of [
      ['Requests2XX', 'counter', 'Count'],
      ['QueueTime', 'gauge', 'Milliseconds'],
      ['GPUUtilization', 'gauge', 'Percent'],
      ['HandlerTime', 'gauge', 'ms'],
    ]) {
      const header = `# HELP ${name} Torchserve prometheus ${type} metric with unit: ${unit}\n# TYPE ${name} ${type}\n`;
      assert.ok(text.includes(header), header);
    }
  });

  behaviour(
    '4.3',
    'same',
    'requests are counted by status class and by model, with default for no version',
    async () => {
      await suite.server.ready('m');
      assert.equal((await suite.server.infer('/predictions/m')).status, 200);
      assert.equal((await suite.server.infer('/predictions/m/1.0')).status, 200);
      assert.equal((await suite.server.infer('/predictions/nothing')).status, 404);
      const wanted = /Requests4XX\{Level="Host",Hostname=".+",\} 1\.0\n/;
      const { text } = await eventually(
        () => scrape(suite),
        ({ text: found }) => wanted.test(found),
      );
      assert.match(text, wanted);
      assert.match(text, /^Requests2XX\{Level="Host",Hostname=".+",\} \d+\.\d+$/m);
      assert.match(
        text,
        /^ts_inference_requests_total\{model_name="m",model_version="default",hostname=".+",\} 1\.0$/m,
      );
      assert.match(text, /^ts_inference_requests_total\{model_name="m",model_version="1\.0",hostname=".+",\} 1\.0$/m);
      assert.match(
        text,
        /^ts_inference_latency_microseconds\{model_name="m",model_version="default",hostname=".+",\} \d/m,
      );
      assert.match(text, /^WorkerLoadTime\{WorkerName="W-9000-m_1\.0",Level="Host",Hostname=".+",\} \d+\.0$/m);
    },
  );

  behaviour('4.4', 'same', 'metrics of handlers carry the model, the level and the host', async () => {
    const line = /^HandlerTime\{ModelName="m",Level="Model",Hostname=".+",\} 12\.5$/m;
    const { text } = await eventually(
      () => scrape(suite),
      ({ text: found }) => line.test(found),
    );
    assert.match(text, line);
    assert.match(text, /^PredictionTime\{ModelName="m",Level="Model",Hostname=".+",\} \d+\.\d+(E-\d+)?$/m);
  });

  behaviour('4.5', 'same', 'with auto-detection a metric exists as soon as a handler makes it', async () => {
    const { text } = await scrape(suite, '?name[]=RowsSeen');
    assert.match(
      text,
      /^# HELP RowsSeen Torchserve prometheus counter metric with unit: Count\n# TYPE RowsSeen counter\nRowsSeen\{.*Hostname=".+",\} 2\.0\n$/,
    );
  });

  behaviour('4.1', 'same', 'name[] picks samples, and a metric without any of them is left out', async () => {
    const { text } = await scrape(suite, '?name[]=Requests2XX&name[]=nothing');
    assert.deepEqual(text.match(/^# TYPE .*$/gm), ['# TYPE Requests2XX counter']);
    assert.equal((await scrape(suite, '?name[]=nothing')).text, '');
  });

  behaviour(
    '4.6',
    'stricter',
    'a [METRICS] line on stdout is log text: metrics come over the private channel only',
    async () => {
      await suite.server.until(/MODEL_LOG - \[METRICS\]Forged/);
      assert.doesNotMatch((await scrape(suite)).text, /Forged/);
    },
  );

  behaviour('4.1', 'same', 'an unknown path of the metrics listener is TorchServe’s JSON error', async () => {
    const response = await fetch(`${suite.server.metrics}/nothing`);
    assert.equal(response.status, 404);
    assert.equal(((await response.json()) as { type: string }).type, 'ResourceNotFoundException');
  });

  behaviour(
    '4.6',
    'same',
    'a scrape is Prometheus text to the letter, whatever label values handlers choose',
    async () => {
      await suite.server.ready('m');
      assert.equal((await suite.server.infer('/predictions/m')).status, 200);
      const { families } = await eventually(
        async () => ({ families: parsePrometheusText((await scrape(suite)).text) }),
        (found) => found.families.has('Odd'),
      );
      const [odd] = families.get('Odd')?.samples ?? [];
      assert.deepEqual([odd?.value, odd?.labels.get('Path')], [0.1, 'C:\\new "one"']);
      const kinds = new Set([...families.values()].map(({ type }) => type));
      assert.deepEqual([...kinds].toSorted(), ['counter', 'gauge', 'histogram']);
      assert.ok([...families].some(([, { type, samples }]) => type === 'histogram' && samples.length > 0));
    },
  );
});

const timestamp = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}`;

describeWithServer('metrics in log mode', fill, { models: ['m', 'pair'] }, (suite) => {
  const logged = (file: string): string => readFileSync(join(suite.server.dir, 'logs', file), 'utf8');

  behaviour('4.2', 'same', 'in log mode the endpoint is empty and the files have TorchServe’s lines', async () => {
    await suite.server.ready('m');
    await suite.server.infer('/predictions/m');
    assert.equal((await scrape(suite)).text, '');
    const server = new RegExp(
      `^${timestamp} - Requests2XX\\.Count:\\d+\\.0\\|#Level:Host\\|#hostname:.+,timestamp:\\d{10}$`,
      'm',
    );
    assert.match(
      await eventually(
        () => logged('ts_metrics.log'),
        (text) => server.test(text),
      ),
      server,
    );
    const handler = new RegExp(
      `^${timestamp} - HandlerTime\\.ms:12\\.5\\|#ModelName:m,Level:Model\\|#hostname:.+,requestID:[0-9a-f-]{36},timestamp:\\d{10}$`,
      'm',
    );
    assert.match(
      await eventually(
        () => logged('model_metrics.log'),
        (text) => handler.test(text),
      ),
      handler,
    );
  });

  behaviour('4.4', 'same', 'a handler’s metric that metrics.yaml does not name is dropped', async () => {
    assert.doesNotMatch(logged('model_metrics.log'), /RowsSeen/);
  });

  const lines = (file: string, name: string): readonly string[] =>
    logged(file)
      .split('\n')
      .filter((line) => line.includes(` - ${name}.`));
  const ids = (): readonly string[] =>
    [...logged('model_metrics.log').matchAll(/requestID:([^,]*),/g)].map(([, id]) => id ?? '');

  behaviour('4.6', 'same', 'every update is a line of its own, with the request that made it', async () => {
    const before = lines('ts_metrics.log', 'ts_inference_requests_total').length;
    const answers = [];
    for (let sent = 0; sent < 20; sent++) answers.push(await suite.server.infer('/predictions/m'));
    const found = await eventually(
      () => lines('ts_metrics.log', 'ts_inference_requests_total').slice(before),
      (seen) => seen.length >= 20,
    );
    assert.deepEqual(
      found.map((line) => /requests_total\.Count:(\S+?)\|/.exec(line)?.[1]),
      new Array(20).fill('1.0'),
    );
    const wanted = answers.map(({ headers }) => String(headers['x-request-id']));
    await eventually(ids, (seen) => wanted.every((id) => seen.filter((other) => other === id).length === 2));
    for (const id of wanted)
      assert.equal(ids().filter((other) => other === id).length, 2, 'HandlerTime, PredictionTime');
  });

  behaviour(
    '4.7',
    'same',
    'a metric of a batch carries the ids of all its requests, with idx that of one',
    async () => {
      await suite.server.ready('pair');
      const line = (value: string): string | undefined =>
        new RegExp(`HandlerTime\\.ms:${value}\\|#ModelName:pair,.*requestID:(\\S+),timestamp`).exec(
          logged('model_metrics.log'),
        )?.[1];
      // Two requests at once are one batch, unless the first was alone for longer than the batch waits for company.
      const sent: string[] = [];
      for (let tries = 0; tries < 20 && line('1\\.0') === undefined; tries += 1) {
        const answers = await Promise.all([1, 2].map(() => suite.server.infer('/predictions/pair')));
        sent.push(
          answers
            .map(({ headers }) => String(headers['x-request-id']))
            .toSorted()
            .join(),
        );
        await sleep(100);
      }
      const all =
        (await eventually(
          () => line('1\\.0')?.split(','),
          (found) => found?.length === 2,
        )) ?? [];
      assert.ok(sent.includes(all.toSorted().join()), `${all.join()} is none of ${sent.join(' ')}`);
      assert.equal(line('2\\.0'), all[1]);
    },
  );

  behaviour(
    '4.6',
    'stricter',
    'over a hundred updates of one series in ten seconds are one line a second: counters add up, gauges keep the latest',
    async () => {
      const total = (): number =>
        lines('ts_metrics.log', 'ts_inference_requests_total').reduce(
          (sum, line) => sum + Number(/Count:(\d+)\.0/.exec(line)?.[1]),
          0,
        );
      const before = total();
      for (let sent = 0; sent < 200; sent++) await suite.server.infer('/predictions/m');
      assert.equal((await eventually(total, (sum) => sum === before + 200)) - before, 200);
    },
  );
});

describeWithServer('metrics in legacy mode', fill, { models: ['m'], config: ['metrics_mode=legacy'] }, (suite) => {
  behaviour('4.2', 'same', 'in legacy mode the endpoint has three counters and the files have the rest', async () => {
    await suite.server.ready('m');
    await suite.server.infer('/predictions/m');
    const { text } = await scrape(suite);
    assert.deepEqual(text.match(/^# TYPE .*$/gm), [
      '# TYPE ts_inference_requests_total counter',
      '# TYPE ts_inference_latency_microseconds counter',
      '# TYPE ts_queue_latency_microseconds counter',
    ]);
    const file = join(suite.server.dir, 'logs', 'ts_metrics.log');
    assert.match(
      await eventually(
        () => readFileSync(file, 'utf8'),
        (found) => /QueueTime/.test(found),
      ),
      /QueueTime\.Milliseconds:/,
    );
  });
});

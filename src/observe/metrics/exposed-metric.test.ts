import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MAX_SERIES_PER_METRIC } from './definition.ts';
import { ExposedMetric } from './exposed-metric.ts';

const definition = { name: 'Requests2XX', unit: 'Count', type: 'counter', dimensions: ['Level', 'Hostname'] } as const;

test('a counter reads as the Prometheus Java client writes it, trailing comma and all', () => {
  const metric = new ExposedMetric(definition);
  const series = metric.at(['Host', 'h']);
  series?.update(7);
  series?.update(1);
  series?.update(-5);
  assert.equal(
    metric.render(undefined),
    '# HELP Requests2XX Torchserve prometheus counter metric with unit: Count\n# TYPE Requests2XX counter\nRequests2XX{Level="Host",Hostname="h",} 8.0\n',
  );
});

test('a metric without samples shows its header, except under a filter', () => {
  const metric = new ExposedMetric({ ...definition, type: 'gauge' });
  assert.equal(
    metric.render(undefined),
    '# HELP Requests2XX Torchserve prometheus gauge metric with unit: Count\n# TYPE Requests2XX gauge\n',
  );
  assert.equal(metric.render(new Set(['Requests2XX'])), '');
});

test('a metric without labels has its one sample from the start', () => {
  const metric = new ExposedMetric({ ...definition, dimensions: [] });
  assert.match(metric.render(undefined), /^Requests2XX 0\.0$/m);
});

test('a histogram counts cumulatively, and a filter picks among its samples', () => {
  const metric = new ExposedMetric(
    { ...definition, name: 'T', type: 'histogram', dimensions: ['m'] },
    { buckets: [0.1, 1] },
  );
  for (const value of [0.05, 0.1, 0.5, 3]) metric.at(['a'])?.update(value);
  assert.equal(
    metric.render(undefined).split('\n').slice(2).join('\n'),
    'T_bucket{m="a",le="0.1",} 2.0\nT_bucket{m="a",le="1.0",} 3.0\nT_bucket{m="a",le="+Inf",} 4.0\nT_count{m="a",} 4.0\nT_sum{m="a",} 3.65\n',
  );
  assert.equal(
    metric.render(new Set(['T_count'])),
    '# HELP T Torchserve prometheus histogram metric with unit: Count\n# TYPE T histogram\nT_count{m="a",} 4.0\n',
  );
  assert.equal(metric.render(new Set(['T'])), '');
});

test('the default buckets are those of the Java client', () => {
  const metric = new ExposedMetric({ ...definition, name: 'T', type: 'histogram', dimensions: [] });
  const bounds = [...metric.render(undefined).matchAll(/le="([^"]+)"/g)].map((match) => match[1]);
  assert.equal(bounds.join(' '), '0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 +Inf');
});

test('a wrong number of label values gives no series', () => {
  assert.equal(new ExposedMetric(definition).at(['Host']), undefined);
});

test('no metric grows beyond its number of series', () => {
  const metric = new ExposedMetric(definition);
  for (let n = 0; n < MAX_SERIES_PER_METRIC + 5; n++) metric.at([String(n), 'h'])?.update(1);
  assert.equal(metric.seriesCount, MAX_SERIES_PER_METRIC);
  assert.equal(metric.at(['new', 'h']), undefined);
  metric.remove(['0', 'h']);
  assert.ok(metric.at(['new', 'h']));
});

test('no label value can break out of its quotes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const metric = new ExposedMetric(definition);
      metric.at([value, 'h'])?.update(1);
      const lines = metric.render(undefined).split('\n');
      assert.equal(lines.length, 4);
      const label = /^Requests2XX\{Level="((?:[^"\\\n]|\\[\\"n])*)",Hostname="h",\} 1\.0$/.exec(lines[2] ?? '')?.[1];
      assert.equal(
        label?.replaceAll(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c)),
        value,
      );
    }),
  );
});

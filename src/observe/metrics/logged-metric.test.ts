import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockAt } from '../../../test/support/manual-clock.ts';
import type { MetricType } from './definition.ts';
import { LoggedMetric, MetricLog } from './logged-metric.ts';

function logged(type: MetricType, name: string, unit: string, dimensions: readonly string[]) {
  const lines: string[] = [];
  const clock = clockAt(1_717_105_307_250);
  const log = new MetricLog((line) => lines.push(line), clock);
  return { lines, clock, metric: new LoggedMetric({ name, unit, type, dimensions }, log) };
}

test("a server metric's line is TorchServe's", () => {
  const { lines, metric } = logged('counter', 'Requests2XX', 'Count', ['Level', 'Hostname']);
  metric.at(['Host', 'myhost'])?.update(1);
  assert.deepEqual(lines, ['Requests2XX.Count:1.0|#Level:Host|#hostname:myhost,timestamp:1717105307']);
});

test("a handler metric's line carries its request ids", () => {
  const { lines, metric } = logged('gauge', 'HandlerTime', 'ms', ['ModelName', 'Level', 'Hostname']);
  metric.at(['mnist', 'Model', 'myhost'])?.update(12.34, 'id-1,id-2');
  assert.deepEqual(lines, [
    'HandlerTime.ms:12.34|#ModelName:mnist,Level:Model|#hostname:myhost,requestID:id-1,id-2,timestamp:1717105307',
  ]);
});

test('a hundred updates in ten seconds are a line each; of more, counters add up and gauges keep the latest', () => {
  const values = ({ lines }: { readonly lines: readonly string[] }): readonly string[] =>
    lines.map((line) => line.split('|')[0] ?? '');
  const counter = logged('counter', 'C', 'Count', ['Level', 'Hostname']);
  for (let n = 0; n < 105; n++) counter.metric.at(['Host', 'h'])?.update(1);
  assert.deepEqual(values(counter), new Array(100).fill('C.Count:1.0'));
  counter.clock.advance(1000);
  assert.deepEqual(values(counter).slice(100), ['C.Count:5.0']);
  counter.clock.advance(9000);
  counter.metric.at(['Host', 'h'])?.update(1);
  assert.deepEqual(values(counter).slice(101), ['C.Count:1.0']);

  const gauge = logged('gauge', 'G', 'ms', ['Level', 'Hostname']);
  for (let n = 1; n <= 103; n++) gauge.metric.at(['Host', 'h'])?.update(n);
  gauge.clock.advance(1000);
  assert.deepEqual(values(gauge).slice(98), ['G.ms:99.0', 'G.ms:100.0', 'G.ms:103.0']);
});

test('a label value cannot forge the fields behind it', () => {
  const { lines, metric } = logged('gauge', 'G', 'ms', ['Level', 'Hostname']);
  metric.at(['a|#hostname:x,timestamp:1\n', 'h'])?.update(1);
  assert.deepEqual(lines, ['G.ms:1.0|#Level:a__hostname:x_timestamp:1\\n|#hostname:h,timestamp:1717105307']);
});

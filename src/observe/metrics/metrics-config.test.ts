import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { Fault } from '../../kernel/index.ts';
import { DEFAULT_METRICS_YAML } from './default-metrics-yaml.ts';
import { defaultMetricsConfig, parseMetricsConfig } from './metrics-config.ts';

const refusal = (text: string): string => {
  try {
    parseMetricsConfig(text);
  } catch (error) {
    assert.ok(error instanceof Fault && error.code === 'invalid_configuration');
    return error.message;
  }
  return assert.fail('it was accepted');
};

test("the default file names TorchServe's metrics", () => {
  const config = defaultMetricsConfig();
  assert.equal(config.frontEnd.length, 19);
  assert.deepEqual(
    config.backEnd.map(({ name, unit, type, dimensions }) => [name, unit, type, ...dimensions]),
    [
      ['HandlerTime', 'ms', 'gauge', 'ModelName', 'Level'],
      ['PredictionTime', 'ms', 'gauge', 'ModelName', 'Level'],
    ],
  );
});

test('the shipped metrics.yaml is the built-in one', () => {
  const shipped = join(import.meta.dirname, '..', '..', '..', 'python', 'ts', 'configs', 'metrics.yaml');
  assert.equal(readFileSync(shipped, 'utf8'), DEFAULT_METRICS_YAML);
});

test('unknown keys, empty names and missing units are refused, and the message says where', () => {
  assert.match(refusal('ts_metrics: {}\nmetrics: {}'), /metrics/);
  assert.match(refusal('ts_metrics: {counter: [{name: "", unit: Count}]}'), /ts_metrics\.counter\.0\.name/);
  assert.match(refusal('model_metrics: {gauge: [{name: A}]}'), /model_metrics\.gauge\.0\.unit/);
  refusal('ts_metrics: {summary: []}');
  refusal('[1, 2');
  refusal('just text');
});

test('aliases that multiply are refused', () => {
  const levels = ['a: &a [x,x,x,x,x,x,x,x,x]'];
  for (const [at, name] of ['b', 'c', 'd', 'e', 'f'].entries()) {
    levels.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${'abcdef'[at]}`).join(',')}]`);
  }
  refusal(levels.join('\n'));
});

const word = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,15}$/);
const metric = fc.record({ name: word, unit: word, dimensions: fc.array(word, { maxLength: 4 }) });
const section = fc.record(
  { counter: fc.array(metric), gauge: fc.array(metric), histogram: fc.array(metric) },
  { requiredKeys: [] },
);

test('every valid file gives exactly its metrics', () => {
  fc.assert(
    fc.property(section, section, (frontEnd, backEnd) => {
      const config = parseMetricsConfig(stringify({ ts_metrics: frontEnd, model_metrics: backEnd }));
      const expected = (from: typeof frontEnd) =>
        (['counter', 'gauge', 'histogram'] as const).flatMap((type) =>
          (from[type] ?? []).map((entry) => ({ ...entry, type })),
        );
      assert.deepEqual(config.frontEnd, expected(frontEnd));
      assert.deepEqual(config.backEnd, expected(backEnd));
    }),
    { numRuns: 50 },
  );
});

test('any other text is a Fault and nothing else', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      try {
        parseMetricsConfig(text);
      } catch (error) {
        assert.ok(error instanceof Fault && error.code === 'invalid_configuration');
      }
    }),
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePrometheusText } from './prometheus-text.ts';

test('families, label escapes and histograms are read', () => {
  const text = [
    '# HELP a A count',
    '# TYPE a counter',
    String.raw`a{x="1 \"2\" \\n\n",} 3.0`,
    '# HELP h Times',
    '# TYPE h histogram',
    'h_bucket{le="1.0",} 1.0',
    'h_bucket{le="+Inf",} 2.0',
    'h_sum 4.5',
    'h_count 2.0',
    '',
  ].join('\n');
  const families = parsePrometheusText(text);
  assert.equal(families.get('a')?.samples[0]?.labels.get('x'), '1 "2" \\n\n');
  assert.equal(families.get('h')?.samples.length, 4);
});

test('what the format forbids throws', () => {
  const head = '# HELP a A\n# TYPE a gauge\n';
  const histogram = '# HELP h H\n# TYPE h histogram\nh_sum 1\n';
  for (const text of [
    'a 1\n',
    `${head}a 1`,
    `${head}a one\n`,
    `${head}a{x="1" 1\n`,
    `${head}a{x="q"q"} 1\n`,
    `${head}a{1x="1"} 1\n`,
    `${head}a{x="1",x="2"} 1\n`,
    `${head}a 1\na 2\n`,
    `${head}b 1\n`,
    `${head}a 1\n${head}`,
    '# HELP a A\na 1\n',
    '# HELP a A\n# TYPE a counter\na -1\n',
    `${histogram}h_bucket{le="+Inf"} 1\nh_count 2\n`,
    `${histogram}h_bucket{le="2"} 2\nh_bucket{le="+Inf"} 1\nh_count 1\n`,
  ]) {
    assert.throws(() => parsePrometheusText(text), assert.AssertionError, text);
  }
});

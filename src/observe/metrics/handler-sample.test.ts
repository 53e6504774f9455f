import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseHandlerSample } from './handler-sample.ts';

test('a sample as the worker writes it', () => {
  assert.deepEqual(
    parseHandlerSample({
      n: 'HandlerTime',
      v: 1.5,
      u: 'ms',
      type: 'gauge',
      d: [
        ['ModelName', 'm'],
        ['Level', 'Model'],
      ],
      q: 'a,b',
    }),
    {
      name: 'HandlerTime',
      unit: 'Milliseconds',
      type: 'gauge',
      value: 1.5,
      dimensions: [
        ['ModelName', 'm'],
        ['Level', 'Model'],
      ],
      requestIds: 'a,b',
    },
  );
});

test('what is not a finite, well-formed sample is nothing', () => {
  const good = { n: 'A', v: 1, u: 'count', type: 'counter', d: [] };
  assert.ok(parseHandlerSample(good));
  for (const change of [
    { n: '' },
    { n: 1 },
    { v: Number.NaN },
    { v: '1' },
    { v: -1 },
    { type: 'summary' },
    { d: [['a']] },
    { d: 'x' },
  ]) {
    assert.equal(parseHandlerSample({ ...good, ...change }), undefined);
  }
});

test('request ids that could forge a log line are left out', () => {
  assert.equal(parseHandlerSample({ n: 'A', v: 1, type: 'gauge', q: 'a|#b\n' })?.requestIds, undefined);
});

test('nothing a worker can send makes it throw', () => {
  fc.assert(fc.property(fc.anything(), (sample) => void parseHandlerSample(sample)));
  const member = fc.anything();
  const shaped = fc.record({
    n: fc.string(),
    v: fc.oneof(fc.double(), member),
    u: member,
    type: member,
    d: member,
    q: member,
  });
  fc.assert(
    fc.property(shaped, (sample) => {
      const parsed = parseHandlerSample(sample);
      assert.ok(parsed === undefined || Number.isFinite(parsed.value));
    }),
  );
});

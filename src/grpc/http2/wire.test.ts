import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { encodeMessage, parseTimeout } from './wire.ts';

test('timeouts are read in every unit', () => {
  const cases: readonly (readonly [string | undefined, number | undefined | 'malformed'])[] = [
    [undefined, undefined],
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['150m', 150],
    ['1500u', 1.5],
    ['0m', 0],
    ['99999999H', undefined],
    ['', 'malformed'],
    ['-1S', 'malformed'],
    ['123456789S', 'malformed'],
    ['1s', 'malformed'],
    ['1.5S', 'malformed'],
  ];
  for (const [header, expected] of cases) assert.equal(parseTimeout(header), expected, String(header));
});

test('a status message is percent-encoded UTF-8', () => {
  assert.equal(encodeMessage('Model not found: m\norg.X'), 'Model not found: m%0Aorg.X');
  assert.equal(encodeMessage('100 % ü'), '100 %25 %C3%BC');
});

test('every message becomes printable ASCII that decodes to itself', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 500 }), (message) => {
      const encoded = encodeMessage(message);
      assert.match(encoded, /^[\x20-\x7e]*$/);
      assert.equal(decodeURIComponent(encoded), message);
    }),
  );
  assert.match(encodeMessage('\ud800'), /^%EF%BF%BD$/);
});

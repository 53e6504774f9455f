import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { escapeText } from './escape.ts';

test('control characters and terminal escapes become visible text', () => {
  assert.equal(escapeText('a\nb\r\tc\u001b[31mred\u0000'), 'a\\nb\\r\\tc\\x1b[31mred\\x00');
  assert.equal(escapeText('\u0085\u2028\u202e\ufeff'), '\\x85\\u{2028}\\u{202e}\\u{feff}');
});

test('ordinary text of any script stays as it is', () => {
  assert.equal(escapeText('Größe 東京 😀'), 'Größe 東京 😀');
});

test('a long line is cut and says so', () => {
  assert.equal(escapeText('x'.repeat(20), 10), `${'x'.repeat(10)}… [cut]`);
});

test('whatever goes in, one printable line of bounded length comes out', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const line = escapeText(text, 100);
      assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\u2028\u2029\p{Cs}]/u);
      assert.ok(line.length <= 100 * 10 + 10);
      assert.equal(Buffer.from(line).toString(), line);
    }),
  );
});

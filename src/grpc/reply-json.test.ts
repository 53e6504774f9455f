import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { parsePythonJson } from './reply-json.ts';

describe('the JSON of a Python handler', () => {
  test('keeps every digit of long integers as text', () => {
    assert.deepEqual(parsePythonJson('{"data": [1, 18446744073709551615, -9007199254740993,\n12345678901234567 ]}'), {
      data: [1, '18446744073709551615', '-9007199254740993', '12345678901234567'],
    });
    const fractions = '[0.12345678901234567, 1234567890123456789.5, 1e300, 1234567890123456e2, 123456789012345]';
    assert.deepEqual(parsePythonJson(fractions), JSON.parse(fractions));
  });

  test('reads the three numbers that JSON does not have, and leaves texts alone', () => {
    const text =
      '{"a": [NaN, -Infinity, Infinity, 1.5], "NaN": "\\"Infinity\\\\", "b":NaN, "c": ", NaN ,", "d": [NaN,NaN]}';
    assert.deepEqual(parsePythonJson(text), {
      a: ['NaN', '-Infinity', 'Infinity', 1.5],
      NaN: '"Infinity\\',
      b: 'NaN',
      c: ', NaN ,',
      d: ['NaN', 'NaN'],
    });
  });

  test('refuses what is no JSON', () => {
    for (const text of ['', '[NaN}', '{"a": NaNa}', '["NaN, NaN ]', '{"a": Infinit}', '{NaN : 1}x']) {
      assert.throws(() => parsePythonJson(text), SyntaxError, text);
    }
  });

  test('reads every JSON as JSON.parse does, whatever stands beside it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, null, 1);
        if (/\d{16}/.test(text)) return;
        const parsed = JSON.parse(text) as unknown;
        assert.deepEqual(parsePythonJson(text), parsed);
        assert.deepEqual(parsePythonJson(`[NaN, ${text}]`), ['NaN', parsed]);
      }),
    );
  });

  test('takes no longer for what was made to be slow', () => {
    for (const unit of ['"', '\\', '1', '[', '1234567890123456,', '"\\"', 'NaN']) {
      const text = `[NaN ,"${unit.repeat(400_000)}`;
      const startedAt = performance.now();
      assert.throws(() => parsePythonJson(text), SyntaxError);
      assert.ok(performance.now() - startedAt < 5000, unit);
    }
  });
});

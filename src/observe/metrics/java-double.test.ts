import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { javaDouble } from './java-double.ts';

test('numbers read as Java prints doubles', () => {
  const cases: readonly (readonly [number, string])[] = [
    [8, '8.0'],
    [290371.129, '290371.129'],
    [1e7, '1.0E7'],
    [12345678.5, '1.23456785E7'],
    [0.001, '0.001'],
    [0.0005, '5.0E-4'],
    [1e21, '1.0E21'],
    [-3, '-3.0'],
    [0, '0.0'],
    [-0, '-0.0'],
    [Number.POSITIVE_INFINITY, '+Inf'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
    [Number.NaN, 'NaN'],
  ];
  for (const [value, text] of cases) assert.equal(javaDouble(value), text);
});

test('every finite double survives the round trip and has a point', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = javaDouble(value);
      assert.match(text, /^-?\d+\.\d+(E-?\d+)?$/);
      assert.ok(Object.is(Number(text), value));
    }),
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parsePythonLiteral } from './python-literal.ts';
import { Refusal } from './refusal.ts';
import { parseStrictJson, type Json } from './strict-json.ts';

const plain = (value: Json): unknown => {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return Array.isArray(value) ? value.map(plain) : value;
};

test('strict JSON reads what JSON.parse reads', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4, noUnicodeString: false } as object), (value) => {
      const text = JSON.stringify(value);
      if (text.includes('"__proto__"')) return;
      assert.deepEqual(plain(parseStrictJson(text, 'safetensors_malformed')), JSON.parse(text));
    }),
  );
});

test('strict JSON refuses what JSON.parse refuses, with nothing but a refusal', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]":,0-1.eE+truefalsn\\ \n') }), (text) => {
      const accepts = (parse: () => unknown): boolean => {
        try {
          parse();
          return true;
        } catch (thrown) {
          assert.ok(thrown instanceof Refusal || thrown instanceof SyntaxError, String(thrown));
          return false;
        }
      };
      if (accepts(() => parseStrictJson(text, 'safetensors_malformed'))) JSON.parse(text);
    }),
    { numRuns: 1000 },
  );
});

test('strict JSON refuses a key that appears twice, however it is spelled', () => {
  for (const text of ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '[{"b":{"c":1,"c":1}}]']) {
    assert.throws(() => parseStrictJson(text, 'safetensors_malformed'), Refusal, text);
  }
});

test('a Python literal is a dict, tuple, list, string, number or constant, and nothing that runs', () => {
  const parse = (text: string) => parsePythonLiteral(text, 'npy_malformed');
  assert.deepEqual(
    parse("{'a': (1, 2L, ), 'b': [True, None], 'c': ()}"),
    new Map<string, unknown>([
      ['a', [1n, 2n]],
      ['b', [true, null]],
      ['c', []],
    ]) as never,
  );
  for (const text of ['f()', "'a' 'b'", '1+1', "{'a': 1, 'a': 2}", "'\\x41'", '', '(1', '[1 2]', '('.repeat(100)]) {
    assert.throws(() => parse(text), Refusal, text);
  }
});

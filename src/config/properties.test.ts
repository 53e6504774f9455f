import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import properties from 'dot-properties';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { parseProperties, substituteEnvironment } from './properties.ts';

const pairs = (text: string): unknown[] => parseProperties(text, 'f').map(({ key, value, line }) => [key, value, line]);

describe('parseProperties', () => {
  test('takes =, : and blanks as separators and knows the line of each key', () => {
    assert.deepEqual(pairs('a=1\n\n# note\n! note\nb: 2\nc 3\n  d = 4'), [
      ['a', '1', 1],
      ['b', '2', 5],
      ['c', '3', 6],
      ['d', '4', 7],
    ]);
  });

  test('keeps blanks at the end of a value', () => {
    assert.deepEqual(pairs('a=true \n'), [['a', 'true ', 1]]);
  });

  test('joins continued lines without the blanks in front, for every kind of line end', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      assert.deepEqual(pairs(`a=x,\\${end}   y${end}b\\${end} c=2${end}d=`), [
        ['a', 'x,y', 1],
        ['bc', '2', 3],
        ['d', '', 5],
      ]);
    }
  });

  test('a comment is not continued by a backslash', () => {
    assert.deepEqual(pairs('# a \\\nb=1'), [['b', '1', 2]]);
  });

  test('decodes escapes and refuses a malformed \\u, but not an escaped backslash before a u', () => {
    assert.deepEqual(pairs('a=\\u00e9\\t\\:\\q'), [['a', 'é\t:q', 1]]);
    assert.deepEqual(pairs('a=C:\\\\users'), [['a', 'C:\\users', 1]]);
    assert.throws(
      () => parseProperties('ok=1\na=\\u12', 'f'),
      (fault: unknown) => fault instanceof Fault && fault.code === 'invalid_configuration' && /f:2/.test(fault.message),
    );
  });

  test('a key named __proto__ is a key', () => {
    assert.deepEqual(pairs('__proto__=1'), [['__proto__', '1', 1]]);
  });

  test('reads back whatever was written as properties', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'binary' }))),
        (written) => {
          const lines = written.map(([key, value]) => [escape(key), escape(value)].join('='));
          assert.deepEqual(
            parseProperties(lines.join('\n'), 'f').map(({ key, value }) => [key, value]),
            written,
          );
        },
      ),
      { numRuns: 100 },
    );
  });

  test('any text is either read or refused with invalid_configuration, and lines only grow', () => {
    const alphabet = fc.constantFrom('\\', 'u', '0', 'a', '=', ':', ' ', '\n', '\r', '#', '!', '\t', '\f');
    fc.assert(
      fc.property(fc.string({ unit: alphabet }), (text) => {
        try {
          const lines = parseProperties(text, 'f').map(({ line }) => line);
          assert.deepEqual(
            lines,
            lines.toSorted((a, b) => a - b),
          );
          assert.equal(lines.length, properties.parseLines(text.replace(/\r\n?/g, '\n')).filter(Array.isArray).length);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          assert.equal(error.code, 'invalid_configuration');
        }
      }),
      { numRuns: 300 },
    );
  });
});

const SITE = 'model_store at config.properties:3';

describe('substituteEnvironment', () => {
  test('replaces each $$NAME$$', () => {
    assert.equal(substituteEnvironment('$$A$$/x/$$B$$', { A: 'a', B: '' }, SITE), 'a/x/');
    assert.equal(substituteEnvironment('$1 $$ costs', {}, SITE), '$1 $$ costs');
  });

  test('a missing variable is refused in the words of TorchServe', () => {
    assert.throws(() => substituteEnvironment('$$NOPE$$', {}, SITE), {
      message: `Invalid Environment Variable NOPE\n${SITE} names it; set it before the start.`,
    });
    assert.throws(() => substituteEnvironment('$$constructor$$', {}, SITE), Fault);
  });

  test('a replaced value is not replaced again', () => {
    assert.equal(substituteEnvironment('$$A$$', { A: '$$B$$' }, SITE), '$$B$$');
  });
});

/** Every character that is not a plain letter or digit as \uXXXX. */
const escape = (text: string): string =>
  text.replace(/[^A-Za-z0-9]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { Query, parseJavaInt, parseTarget } from './target.ts';

describe('a request target', () => {
  test('is split into decoded segments, without empty ones at the end', () => {
    assert.deepEqual(parseTarget('/predictions/a%20b/1.0//?x=/y'), {
      segments: ['predictions', 'a b', '1.0'],
      query: 'x=/y',
    });
    assert.deepEqual(parseTarget('/').segments, []);
    assert.deepEqual(parseTarget('/a//b').segments, ['a', '', 'b']);
    assert.deepEqual(parseTarget('/m/a%2Fb').segments, ['m', 'a/b']);
  });

  test('that is no path has no segments', () => {
    for (const target of ['*', 'http://evil/ping', 'evil:80', '']) {
      assert.equal(parseTarget(target).segments, undefined, target);
    }
  });

  test('with a percent sequence that is not UTF-8 is refused', () => {
    for (const target of ['/%', '/%zz', '/%ff', '/%c0%af']) {
      assert.throws(() => parseTarget(target), isBadRequest, target);
    }
  });

  test('survives any text: it parses or it is a bad request', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('/', '%', '2', 'f', 'F', '?', '&', '=', '+', 'a', ';') }),
        (text) => {
          try {
            const { segments, query } = parseTarget(`/${text}`);
            assert.notEqual(segments?.at(-1), '');
            assert.ok(new Query(query).pairs.length <= text.length);
          } catch (thrown) {
            assert.ok(isBadRequest(thrown));
          }
        },
      ),
    );
  });
});

describe('a query', () => {
  test('counts the first of a repeated parameter', () => {
    const query = new Query('a=1&a=2&b&c=%26+x&name[]=p&name%5B%5D=q&=z');
    assert.equal(query.text('a'), '1');
    assert.equal(query.text('b'), '');
    assert.equal(query.text('c'), '& x');
    assert.equal(query.text('d'), undefined);
    assert.deepEqual(query.all('name[]'), ['p', 'q']);
  });

  test('falls back for integers that do not parse and reads booleans like Java', () => {
    const query = new Query('a=dd&b=&c=-1&d=TRUE&e=-1&f=&g=2147483648');
    assert.deepEqual(
      ['a', 'b', 'c', 'g', 'z'].map((name) => query.integer(name)),
      [undefined, undefined, -1, undefined, undefined],
    );
    assert.deepEqual(
      ['d', 'e', 'f', 'z'].map((name) => query.boolean(name)),
      [true, false, false, undefined],
    );
    assert.equal(parseJavaInt('+7'), 7);
    assert.equal(parseJavaInt('1.5'), undefined);
    assert.equal(parseJavaInt('1e3'), undefined);
  });
});

function isBadRequest(thrown: unknown): boolean {
  return thrown instanceof Fault && thrown.code === 'bad_request';
}

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { filesOfHtml } from './package-index.ts';

const BASE = new URL('https://index.test/simple/pkg/');
const HASH = 'a'.repeat(64);

describe('a page of a package index', () => {
  test('names files by anchors, whatever else their attributes say', () => {
    const page = [
      '<!DOCTYPE html><html><body>',
      `<a href="../../f/one.whl#sha256=${HASH}" data-requires-python="&gt;=3.8">one.whl</a><br/>`,
      `<a data-requires-python=">=3.8" href='two.whl#egg=x&amp;sha256=${HASH}'>two.whl</a>`,
      '<a href="three.whl">three.whl</a>',
      '<a name="four">four.whl</a>',
    ].join('\n');
    assert.deepEqual(
      filesOfHtml(page, BASE).map(({ fileName, url }) => [fileName, url.href]),
      [
        ['one.whl', 'https://index.test/f/one.whl'],
        ['two.whl', 'https://index.test/simple/pkg/two.whl'],
      ],
    );
  });

  test('is read in time that grows with its length, whatever is in it', () => {
    for (const piece of ['<a ', "<a href='", '<a href="', "<a href=''", '<a href', '<a x=">', ' href ']) {
      const startedAt = performance.now();
      filesOfHtml(piece.repeat(100_000), BASE);
      assert.ok(performance.now() - startedAt < 5000, piece);
    }
  });

  test('never names a file without a hash', () => {
    const piece = fc.constantFrom('<a ', 'href=', '"', "'", '>', '</a>', `#sha256=${HASH}`, 'x.whl', ' ', '#', '&amp;');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        for (const { sha256 } of filesOfHtml(pieces.join(''), BASE)) assert.equal(sha256, HASH);
      }),
    );
  });
});

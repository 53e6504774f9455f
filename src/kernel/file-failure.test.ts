import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileFailure } from './file-failure.ts';

test('a file that cannot be used is named with its reason and its fix', () => {
  const of = (code: string): string =>
    fileFailure('/x', Object.assign(new Error('raw words'), { code }), 'do this').message;
  assert.equal(of('EACCES'), '/x: permission denied. To fix it, do this.');
  assert.equal(of('ENOSPC'), '/x: the disk is full. To fix it, do this.');
  assert.equal(of('EODD'), '/x: raw words. To fix it, do this.');
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { document, rows } from '../../tools/compatibility-docs.ts';

test('docs/compatibility.md is what the tests declare (node tools/compatibility-docs.ts writes it)', () => {
  const path = join(import.meta.dirname, '..', '..', 'docs', 'compatibility.md');
  assert.equal(readFileSync(path, 'utf8'), document());
});

test('every declared behaviour has a section, a treatment and a text', () => {
  for (const { section, treatment, what } of rows()) {
    assert.match(section, /^\d+(?:\.\d+)?$/, what);
    assert.ok(['same', 'stricter', 'absent'].includes(treatment), what);
    assert.notEqual(what, '');
  }
});

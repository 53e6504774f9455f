import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { withFindings } from '../tools/finding-docs.ts';

test('docs/admission.md lists every finding as the catalogue has it (node tools/finding-docs.ts writes it)', () => {
  const document = readFileSync(join(import.meta.dirname, '..', 'docs', 'admission.md'), 'utf8');
  assert.equal(document, withFindings(document));
});

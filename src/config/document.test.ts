import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { documentKeys } from './document.ts';

test('docs/configuration.md is what the key table says (else run: node tools/config-docs.ts)', () => {
  const committed = readFileSync(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8');
  assert.equal(committed, documentKeys());
});

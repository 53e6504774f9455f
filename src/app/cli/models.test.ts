import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDescription } from './models.ts';

test('a description says by which rule a model was let in, who signed it, and what was found', () => {
  const finding = { code: 'python_code', severity: 'info', member: 'h.py', message: 'Imports os.\u001b[2J' };
  const signer = { name: 'company', method: 'certificate', identity: 'release@example.com' };
  const admission = { verdict: 'allow', digest: 'sha256:0', rule: 'rule 1 (m*)', signer, findings: [finding] };
  const text = formatDescription([{ modelName: 'm', admission }]);
  assert.match(text, /^admission: allow, decided by rule 1 \(m\*\), signed by company \(release@example\.com\)$/m);
  assert.match(text, /^ {2}info: python_code \(h\.py\): Imports os\./m);
  assert.equal(text.includes('\u001b'), false);
});

test('a description of a server that says something else about admission is printed all the same', () => {
  for (const admission of ['x', null, [], { findings: [7, null] }]) {
    assert.match(formatDescription([{ modelName: 'm', admission }]), /modelName {2}m/);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { KEY_NAMES } from './keys/index.ts';
import { editDistance, nearMiss } from './near-miss.ts';

test('finds the key that a typo meant', () => {
  assert.equal(nearMiss('disable_token_authorisation', KEY_NAMES), 'disable_token_authorization');
  assert.equal(nearMiss('inference-address', KEY_NAMES), 'inference_address');
  assert.equal(nearMiss('Allowed_Urls', KEY_NAMES), 'allowed_urls');
  assert.equal(nearMiss('job_queue_szie', KEY_NAMES), 'job_queue_size');
  assert.equal(nearMiss('pyton', KEY_NAMES), 'python');
});

test('leaves keys alone that resemble none', () => {
  for (const key of ['NUM_WORKERS', 'tsConfigFile', 'my_plugin_key', 'x', '']) {
    assert.equal(nearMiss(key, KEY_NAMES), undefined, key);
  }
});

test('no known key is a near miss of another one that a file could not tell apart', () => {
  for (const key of KEY_NAMES) assert.equal(nearMiss(key, KEY_NAMES), key);
});

test('the edit distance is symmetric, zero only for equal texts, and at most the longer length', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      const edits = editDistance(a, b);
      assert.equal(edits, editDistance(b, a));
      assert.equal(edits === 0, a === b);
      assert.ok(edits <= Math.max(a.length, b.length));
    }),
    { numRuns: 200 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIGURATION_ITEMS, configurationLines } from './start-lines.ts';

test('the configuration dump has a line for every item, and N/A for what is not set', () => {
  const lines = configurationLines({ 'Allowed Urls': ['a', 'b'], 'Max heap size': 4096, 'Enable metrics API': false });
  assert.equal(lines.length, CONFIGURATION_ITEMS.length);
  for (const line of ['TS Home: N/A', 'Allowed Urls: [a, b]', 'Max heap size: 4096 M', 'Enable metrics API: false']) {
    assert.ok(lines.includes(line), line);
  }
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../../kernel/index.ts';
import { parseTokenFile } from './token-source.ts';

describe('a token file', () => {
  test('is key_file.json as TorchServe writes it', () => {
    const text = '{"management":{"key":"m","expiration time":"2024-02-16T21:12:24Z"},"API":{"key":"a"}}';
    const entries = parseTokenFile(text, 'f');
    assert.equal(entries.get('management')?.key.reveal(), 'm');
    assert.equal(entries.get('management')?.expires, '2024-02-16T21:12:24Z');
    assert.equal(entries.get('API')?.expires, undefined);
    assert.equal(entries.get('inference'), undefined);
  });

  test('may hold one bare key for everything', () => {
    const entries = parseTokenFile('secret\n', 'f');
    assert.equal(entries.get('inference')?.key.reveal(), 'secret');
    assert.equal(entries.get('API')?.key.reveal(), 'secret');
  });

  test('never yields a key that could break a header, whatever it holds', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.string().map((key) => JSON.stringify({ API: { key } })),
    );
    fc.assert(
      fc.property(text, (content) => {
        try {
          for (const { key } of parseTokenFile(content, 'f').values()) assert.match(key.reveal(), /^\S+$/);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          assert.equal(error.code, 'usage');
        }
      }),
      { numRuns: 200 },
    );
  });
});

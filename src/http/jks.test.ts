import assert from 'node:assert/strict';
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { readJks } from './jks.ts';

const GOOD = readFileSync(join(import.meta.dirname, '../../test/fixtures/tls/store.jks'));

describe('a Java keystore', () => {
  test('gives up its key and the certificate that belongs to it', () => {
    const { key, chain } = readJks(GOOD, 'changeit', 'store.jks');
    assert.ok(new X509Certificate(chain).checkPrivateKey(createPrivateKey(key)));
  });

  test('with any byte changed is refused', () => {
    fc.assert(
      fc.property(fc.nat(GOOD.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(GOOD);
        bytes[at] = (bytes[at] as number) ^ flip;
        assert.throws(() => readJks(bytes, 'changeit', 'x'), isConfigurationFault);
      }),
    );
  });

  test('sealed by somebody who knows the password, but damaged inside, is read or refused and never anything else', () => {
    const content = GOOD.subarray(0, -20);
    fc.assert(
      fc.property(fc.nat(content.length), fc.nat(60), fc.uint8Array({ maxLength: 60 }), (from, length, insert) => {
        const bytes = Buffer.concat([content.subarray(0, from), insert, content.subarray(from + length)]);
        try {
          readJks(sealed(bytes), 'changeit', 'x');
        } catch (thrown) {
          assert.ok(isConfigurationFault(thrown), String(thrown));
        }
      }),
      { numRuns: 300 },
    );
  });
});

function sealed(content: Buffer): Buffer {
  const password = Buffer.from('changeit', 'utf16le').swap16();
  const digest = createHash('sha1').update(password).update('Mighty Aphrodite').update(content).digest();
  return Buffer.concat([content, digest]);
}

function isConfigurationFault(thrown: unknown): boolean {
  return thrown instanceof Fault && thrown.code === 'invalid_configuration';
}

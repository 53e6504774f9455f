import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Refusal } from '../content/refusal.ts';
import { parseBundle, preAuthenticationEncoding } from './bundle.ts';
import { coversArchive, requireSignedFiles, signatureNameIn } from './compare.ts';
import { signFiles } from './sign.ts';
import { keyHint } from './signing-key.ts';
import { parseStatement, renderStatement } from './statement.ts';
import { verifySignature, type TrustedSigner } from './verify.ts';

const NOW = new Date('2026-06-01T00:00:00Z');
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const FILES = new Map([
  ['weights.safetensors', sha256('weights')],
  ['MAR-INF/MANIFEST.json', sha256('manifest')],
  ['a-b/x', sha256('x')],
  ['a/x', sha256('y')],
]);
const pair = (namedCurve: string): { publicKey: KeyObject; privateKey: KeyObject } =>
  generateKeyPairSync('ec', { namedCurve });
const release = pair('P-256');
const signer = (key: KeyObject): TrustedSigner => ({ method: 'key', name: 'release', key });
const signed = (privateKey: KeyObject, files = FILES): Buffer =>
  Buffer.from(signFiles({ subject: 'm', files, ignoredPaths: [], privateKey, chain: [] }));
const refusedAs = (code: string) => (thrown: unknown) => thrown instanceof Refusal && thrown.code === code;

describe('a statement', () => {
  test('lists files in code point order, whatever order they come in', () => {
    const { files } = parseStatement(renderStatement('m', FILES, []));
    assert.deepEqual([...files.keys()], ['MAR-INF/MANIFEST.json', 'a-b/x', 'a/x', 'weights.safetensors']);
    const reversed = new Map([...FILES].toReversed());
    assert.deepEqual(renderStatement('m', FILES, []), renderStatement('m', reversed, []));
  });

  test('names the whole by the sha256 over the raw digests', () => {
    const { rootDigest } = parseStatement(renderStatement('m', new Map([['f', sha256('1')]]), []));
    assert.equal(
      rootDigest,
      createHash('sha256')
        .update(Buffer.from(sha256('1'), 'hex'))
        .digest('hex'),
    );
  });

  test('survives its own reader for every list of files', () => {
    const digest = fc.string({ maxLength: 4 }).map(sha256);
    const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(fc.tuple(names, digest), { minLength: 1, maxLength: 8 }), (list) => {
        const files = new Map(list);
        assert.deepEqual(new Map(parseStatement(renderStatement('m', files, ['.git'])).files), files);
      }),
      { numRuns: 100 },
    );
  });

  test('is refused for other types, algorithms, links, duplicates and a wrong root digest', () => {
    const sound = renderStatement('m', FILES, []).toString();
    const changes: readonly (readonly [string, string])[] = [
      ['Statement/v1"', 'Statement/v0.1"'],
      ['signature/v1.0', 'Digests/v0.1'],
      ['"method":"files"', '"method":"shards"'],
      ['"hash_type":"sha256"', '"hash_type":"blake3"'],
      ['"algorithm":"sha256"', '"algorithm":"md5"'],
      ['"allow_symlinks":false', '"allow_symlinks":true'],
      ['"allow_symlinks":false', '"x":false'],
      ['"name":"a/x"', '"name":"a-b/x"'],
      ['{"sha256":"', '{"sha256":"0'],
      [sha256('x'), sha256('z')],
      ['"resources":[', '"resources":[7,'],
      ['"subject":[', '"subject":[],"subjects":['],
      ['{"_type"', '{"_type":"https://in-toto.io/Statement/v1","_type"'],
    ];
    for (const [from, to] of changes) {
      assert.notEqual(sound.replace(from, to), sound, from);
      assert.throws(() => parseStatement(Buffer.from(sound.replace(from, to))), refusedAs('signature_invalid'), to);
    }
  });

  test('of arbitrary bytes is refused, never a crash', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          assert.throws(() => parseStatement(bytes), refusedAs('signature_invalid'));
          assert.throws(() => parseBundle(bytes), refusedAs('signature_invalid'));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('a signature by key', () => {
  for (const curve of ['P-256', 'P-384', 'P-521']) {
    test(`with ${curve} verifies with its key only`, async () => {
      const { publicKey, privateKey } = pair(curve);
      const { signer: by, statement } = await verifySignature(signed(privateKey), [signer(publicKey)], NOW);
      assert.deepEqual(by, { name: 'release', method: 'key', identity: `sha256:${keyHint(publicKey)}` });
      assert.deepEqual(new Map(statement.files), FILES);
      const other = verifySignature(signed(privateKey), [signer(pair(curve).publicKey)], NOW);
      await assert.rejects(other, refusedAs('signature_untrusted'));
    });
  }

  test('counts when one of several signers made it', async () => {
    const others = [signer(pair('P-256').publicKey), signer(release.publicKey)];
    assert.equal((await verifySignature(signed(release.privateKey), others, NOW)).signer.name, 'release');
    await assert.rejects(verifySignature(signed(release.privateKey), [], NOW), refusedAs('signature_untrusted'));
  });

  test('is made with no key that the standard does not have', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const ed25519 = generateKeyPairSync('ed25519');
    for (const { privateKey } of [rsa, ed25519, pair('secp256k1')]) {
      assert.throws(() => signed(privateKey), refusedAs('signature_invalid'));
    }
  });

  test('over nothing is not made', () => {
    assert.throws(() => signed(release.privateKey, new Map()), refusedAs('signature_invalid'));
  });

  test('is refused when any bit of the bundle is another', async () => {
    const bundle = signed(release.privateKey, new Map([['f', sha256('1')]]));
    for (let at = 0; at < bundle.length; at += 1) {
      const changed = Buffer.from(bundle);
      changed[at]! ^= 1 << (at % 8);
      await assert.rejects(
        verifySignature(changed, [signer(release.publicKey)], NOW),
        (thrown) => thrown instanceof Refusal,
        `byte ${at}: ${changed.subarray(Math.max(0, at - 10), at + 10)}`,
      );
    }
  });

  test('is refused when bytes are added, cut off or spelled in another way', async () => {
    const text = signed(release.privateKey).toString();
    const bundle = JSON.parse(text) as { dsseEnvelope: { payload: string; signatures: { sig: string }[] } };
    const { sig } = bundle.dsseEnvelope.signatures[0]!;
    const variants = [
      `${text}x`,
      text.slice(0, -1),
      text.replace('"keyid":""', '"keyid":"other"'),
      text.replace('"tlogEntries":[]', '"tlogEntries":[{}]'),
      text.replace('"publicKey"', '"certificate":{"rawBytes":"AA=="},"publicKey"'),
      text.replace('bundle.v0.3+json', 'bundle.v0.2+json'),
      text.replace('vnd.in-toto+json', 'vnd.in-toto'),
      text.replace(`"sig":"${sig}"`, `"sig":"${sig}\\n"`),
      text.replace('"signatures":[', '"signatures":[{"sig":"AA=="},'),
      text.replace('{"mediaType"', '{"mediaType":"x","mediaType"'),
    ];
    for (const variant of variants) {
      assert.notEqual(variant, text);
      await assert.rejects(
        verifySignature(Buffer.from(variant), [signer(release.publicKey)], NOW),
        (thrown) => thrown instanceof Refusal,
        variant.slice(0, 200),
      );
    }
  });

  test('may name its key by the key itself, as old bundles do, and then by the right one', async () => {
    const text = signed(release.privateKey).toString();
    const named = (key: KeyObject, format: 'pem' | 'der'): Buffer => {
      const raw = Buffer.from(key.export({ type: 'spki', format } as { type: 'spki'; format: 'der' }));
      const old = `{"rawBytes":"${raw.toString('base64')}","keyDetails":"PKIX_ECDSA_P256_SHA_256"}`;
      return Buffer.from(text.replace(/\{"hint":"\w+"\}/, old));
    };
    for (const format of ['pem', 'der'] as const) {
      await verifySignature(named(release.publicKey, format), [signer(release.publicKey)], NOW);
      const wrong = verifySignature(named(pair('P-256').publicKey, format), [signer(release.publicKey)], NOW);
      await assert.rejects(wrong, refusedAs('signature_untrusted'));
    }
  });
});

describe('the signed files', () => {
  const statement = parseStatement(renderStatement('m', FILES, ['ignored']));

  test('are all of them, unchanged, and no others', () => {
    requireSignedFiles(statement, FILES);
    for (const name of FILES.keys()) {
      const changed = new Map(FILES).set(name, sha256('changed'));
      const missing = new Map([...FILES].filter(([other]) => other !== name));
      assert.throws(() => requireSignedFiles(statement, changed), refusedAs('signature_mismatch'));
      assert.throws(() => requireSignedFiles(statement, missing), refusedAs('signature_mismatch'));
    }
  });

  test('include no signature, unless one was signed as a file', () => {
    requireSignedFiles(
      statement,
      new Map(FILES).set('model.sig', sha256('any')).set('MAR-INF/model.sig', sha256('any')),
    );
    const added = new Map(FILES).set('sub/model.sig', sha256('any'));
    assert.throws(() => requireSignedFiles(statement, added), refusedAs('signature_mismatch'));
    const listing = parseStatement(renderStatement('m', new Map([['model.sig', sha256('old')]]), []));
    const other = new Map([['model.sig', sha256('new')]]);
    assert.throws(() => requireSignedFiles(listing, other), refusedAs('signature_mismatch'));
  });

  test('do not include what the statement says may be ignored', () => {
    const added = new Map(FILES).set('ignored', sha256('new'));
    assert.throws(() => requireSignedFiles(statement, added), refusedAs('signature_mismatch'));
  });

  test('can be one archive as a whole', () => {
    const whole = parseStatement(renderStatement('x.mar', new Map([['.', sha256('archive')]]), []));
    assert.equal(coversArchive(whole, sha256('archive')), true);
    assert.equal(coversArchive(whole, sha256('other')), false);
    assert.equal(coversArchive(statement, sha256('x')), false);
  });

  test('carry their signature under one of two names', () => {
    assert.equal(signatureNameIn(['a', 'model.sig']), 'model.sig');
    assert.equal(signatureNameIn(['MAR-INF/model.sig', 'model.sig']), 'model.sig');
    assert.equal(signatureNameIn(['a/model.sig']), undefined);
  });
});

test('the encoding that is signed is DSSE’s', () => {
  const encoded = preAuthenticationEncoding(Buffer.from('hello'));
  assert.equal(encoded.toString(), 'DSSEv1 28 application/vnd.in-toto+json 5 hello');
});

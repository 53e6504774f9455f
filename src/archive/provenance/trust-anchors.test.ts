// Certificates and keyless signatures against the test authorities of test/fixtures/provenance (its README says how they were made).
import assert from 'node:assert/strict';
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Refusal } from '../content/refusal.ts';
import { requireSignedFiles } from './compare.ts';
import { signFiles } from './sign.ts';
import { verifySignature, type TrustedSigner } from './verify.ts';

const FIXTURES = join(import.meta.dirname, '../../../test/fixtures/provenance');
const read = (name: string): Buffer => readFileSync(join(FIXTURES, name));
const certificate = (name: string): X509Certificate => new X509Certificate(read(`pki/${name}.pem`));
const [root, intermediate, leaf, server] = ['root', 'int', 'leaf', 'tls'].map(certificate) as [
  X509Certificate,
  X509Certificate,
  X509Certificate,
  X509Certificate,
];
const NOW = new Date(root.validFromDate.getTime() + 86_400_000);
const FILES = new Map([['f', createHash('sha256').update('f').digest('hex')]]);
const refusedAs = (code: string) => (thrown: unknown) => thrown instanceof Refusal && thrown.code === code;

const signed = (chain: readonly X509Certificate[], key = 'leaf'): Buffer =>
  Buffer.from(
    signFiles({
      subject: 'm',
      files: FILES,
      ignoredPaths: [],
      privateKey: createPrivateKey(read(`pki/${key}.key`)),
      chain,
    }),
  );
const trusting = (
  roots: readonly X509Certificate[],
  rest: { readonly identity?: string; readonly acceptsExpired?: boolean } = {},
): TrustedSigner => ({
  method: 'certificate',
  name: 'company',
  roots,
  identity: rest.identity,
  acceptsExpired: rest.acceptsExpired === true,
});

/** What was signed in the fixtures that others made. */
const MODEL = new Map([
  ['weights.txt', createHash('sha256').update('not really weights\n').digest('hex')],
  ['sub/config.json', createHash('sha256').update('{}\n').digest('hex')],
]);

describe('what the reference implementation signed', () => {
  for (const curve of ['p256', 'p384', 'p521']) {
    test(`with a key on ${curve} verifies, and covers the files`, async () => {
      const key = createPublicKey(read(`reference/${curve}.pub`));
      const signers = [{ method: 'key', name: 'x', key }] satisfies TrustedSigner[];
      const { statement } = await verifySignature(read(`reference/${curve}.sig`), signers, NOW);
      requireSignedFiles(statement, MODEL);
      const other = curve === 'p256' ? 'p384' : 'p256';
      await assert.rejects(
        verifySignature(read(`reference/${other}.sig`), signers, NOW),
        refusedAs('signature_untrusted'),
      );
    });
  }

  test('with a certificate verifies, and covers the files', async () => {
    const { signer, statement } = await verifySignature(read('reference/certificate.sig'), [trusting([root])], NOW);
    assert.equal(signer.identity, 'release@example.com');
    requireSignedFiles(statement, MODEL);
  });
});

describe('a signature by certificate', () => {
  test('is by the identity in its certificate, whether the chain names the root or not', async () => {
    for (const chain of [
      [leaf, intermediate],
      [leaf, intermediate, root],
    ]) {
      const { signer } = await verifySignature(signed(chain), [trusting([root])], NOW);
      assert.deepEqual(signer, { name: 'company', method: 'certificate', identity: 'release@example.com' });
    }
  });

  test('can be trusted at the intermediate authority, or at the certificate itself', async () => {
    await verifySignature(signed([leaf, intermediate]), [trusting([intermediate])], NOW);
    await verifySignature(signed([leaf]), [trusting([leaf])], NOW);
  });

  test('is refused for another identity, another root, a hole in the chain or another order', async () => {
    const chain = signed([leaf, intermediate]);
    const other = trusting([root], { identity: 'other@example.com' });
    await verifySignature(chain, [trusting([root], { identity: 'release@example.com' })], NOW);
    await assert.rejects(verifySignature(chain, [other], NOW), refusedAs('signature_untrusted'));
    await assert.rejects(verifySignature(chain, [trusting([server])], NOW), refusedAs('signature_untrusted'));
    await assert.rejects(verifySignature(signed([leaf]), [trusting([root])], NOW), refusedAs('signature_untrusted'));
    const mixed = signed([leaf, root, intermediate]);
    await assert.rejects(verifySignature(mixed, [trusting([root])], NOW), refusedAs('signature_invalid'));
  });

  test('is refused where the certificate is one for servers', async () => {
    const bundle = signed([server, intermediate], 'tls');
    await assert.rejects(verifySignature(bundle, [trusting([root])], NOW), refusedAs('signature_untrusted'));
  });

  test('runs out with its certificate, unless that is accepted', async () => {
    const later = new Date(leaf.validToDate.getTime() + 1000);
    const bundle = signed([leaf, intermediate]);
    await assert.rejects(verifySignature(bundle, [trusting([root])], later), refusedAs('signature_untrusted'));
    await verifySignature(bundle, [trusting([root], { acceptsExpired: true })], later);
  });

  test('is not made with a certificate of another key', () => {
    assert.throws(() => signed([server, intermediate]), refusedAs('signature_invalid'));
  });

  test('is refused when a byte of the bundle is another, in any of its parts', async () => {
    const bundle = signed([leaf, intermediate, root]);
    // 11 is prime to the lengths of base64, so that every kind of byte has its turn; all bytes take 2 seconds.
    for (let at = 0; at < bundle.length; at += 11) {
      const changed = Buffer.from(bundle);
      changed[at]! ^= 1 << (at % 8);
      await assert.rejects(
        verifySignature(changed, [trusting([root])], NOW),
        (thrown) => thrown instanceof Refusal,
        `byte ${at}`,
      );
    }
  });
});

describe('a keyless signature', () => {
  const identity = 'https://github.com/example/models/.github/workflows/sign.yml@refs/heads/main';
  const issuer = 'https://token.example.com';
  const trustedRoot: unknown = JSON.parse(read('keyless/trusted_root.json').toString());
  const bundle = read('keyless/model.sig');
  const by = (change: { readonly identity?: string; readonly issuer?: string; readonly trustedRoot?: unknown }) =>
    [{ method: 'keyless', name: 'ci', identity, issuer, trustedRoot, ...change }] satisfies TrustedSigner[];

  test('is by the identity that the issuer vouched for, and covers the files', async () => {
    const { signer, statement } = await verifySignature(bundle, by({}), NOW);
    assert.deepEqual(signer, { name: 'ci', method: 'keyless', identity });
    requireSignedFiles(statement, MODEL);
  });

  test('is not by a part of the identity, a pattern of it, or the same one elsewhere', async () => {
    for (const other of ['https://github.com/example/models', '.*', '', identity.slice(0, -1)]) {
      await assert.rejects(verifySignature(bundle, by({ identity: other }), NOW), refusedAs('signature_untrusted'));
    }
    const elsewhere = verifySignature(bundle, by({ issuer: 'https://token.example.org' }), NOW);
    await assert.rejects(elsewhere, refusedAs('signature_untrusted'));
  });

  test('needs every one of the trusted authorities', async () => {
    for (const part of ['certificateAuthorities', 'ctlogs', 'tlogs']) {
      const without = { ...(trustedRoot as object), [part]: [] };
      await assert.rejects(verifySignature(bundle, by({ trustedRoot: without }), NOW), refusedAs('signature_invalid'));
    }
    await assert.rejects(verifySignature(bundle, by({ trustedRoot: {} }), NOW), refusedAs('signature_invalid'));
  });

  test('needs its log entry', async () => {
    const parsed = JSON.parse(bundle.toString()) as { verificationMaterial: { tlogEntries: unknown[] } };
    parsed.verificationMaterial.tlogEntries = [];
    const stripped = Buffer.from(JSON.stringify(parsed));
    await assert.rejects(verifySignature(stripped, by({}), NOW), refusedAs('signature_invalid'));
  });

  test('is refused when a byte of certificate, envelope or logged entry is another', async () => {
    const text = bundle.toString();
    // Of the log's two proofs the library is content with one, so the other one's bytes do not count.
    for (const key of ['rawBytes', 'payload', 'sig', 'signedEntryTimestamp', 'canonicalizedBody']) {
      const start = text.indexOf(`"${key}":"`) + key.length + 4;
      const end = text.indexOf('"', start);
      assert.ok(start > key.length + 4 && end > start, key);
      const step = Math.max(1, Math.floor((end - start) / 40));
      for (let at = start; at < end; at += step) {
        const changed = Buffer.from(bundle);
        changed[at]! ^= 1 << (at % 8);
        await assert.rejects(
          verifySignature(changed, by({}), NOW),
          (thrown) => thrown instanceof Refusal,
          `${key}, byte ${at - start}`,
        );
      }
    }
  });
});

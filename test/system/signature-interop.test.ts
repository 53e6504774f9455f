// What we sign, Python's cryptography verifies as the reference implementation does. The other direction needs no Python:
// bundles of the reference implementation are fixtures of src/archive/provenance.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, X509Certificate, type KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { signModel } from '../../src/store/index.ts';

const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';
const SCRIPT = join(import.meta.dirname, 'verify_signature.py');
const PKI = join(import.meta.dirname, '../fixtures/provenance/pki');
const { signal } = new AbortController();

describe('a signature of ours', () => {
  let dir = '';
  const path = (name: string): string => join(dir, name);
  const sign = (privateKey: KeyObject, chain: readonly X509Certificate[] = []): Promise<string> =>
    signModel({ path: path('model'), privateKey, chain, signaturePath: undefined, overwrites: true }, signal);
  const verified = (method: string, trusted: string): string => {
    const args = ['-B', '-I', SCRIPT, path('model/model.sig'), path('model'), method, trusted];
    const { stdout, stderr } = spawnSync(PYTHON, args, { encoding: 'utf8' });
    return stdout.trim() || stderr;
  };

  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-interop-'));
    mkdirSync(path('model/sub-dir'), { recursive: true });
    mkdirSync(path('model/sub'));
    mkdirSync(path('model/.git'));
    writeFileSync(path('model/weights.safetensors'), 'weights');
    writeFileSync(path('model/sub-dir/ü.json'), '{}');
    writeFileSync(path('model/sub/x'), '');
    writeFileSync(path('model/.git/HEAD'), 'not covered');
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  for (const namedCurve of ['P-256', 'P-384', 'P-521']) {
    test(`by a ${namedCurve} key verifies with the reference’s cryptography, and with no other key`, async () => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
      writeFileSync(path('own.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
      const other = generateKeyPairSync('ec', { namedCurve }).publicKey;
      writeFileSync(path('other.pub'), other.export({ type: 'spki', format: 'pem' }));
      await sign(privateKey);
      assert.equal(verified('key', path('own.pub')), 'verified');
      assert.match(verified('key', path('other.pub')), /^not verified: ValueError another key/);
    });
  }

  test('by a certificate verifies up to its root', async () => {
    const chain = ['leaf', 'int'].map((name) => new X509Certificate(readFileSync(join(PKI, `${name}.pem`))));
    await sign(createPrivateKey(readFileSync(join(PKI, 'leaf.key'))), chain);
    assert.equal(verified('certificate', join(PKI, 'root.pem')), 'verified');
    assert.match(verified('certificate', join(PKI, 'tls.pem')), /^not verified/);
    writeFileSync(path('model/added'), '');
    assert.match(verified('certificate', join(PKI, 'root.pem')), /^not verified: ValueError other files/);
  });
});

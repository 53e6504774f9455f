import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Fault, Secret } from '../../kernel/index.ts';
import { readCertificates, readPrivateKey, readPublicKey, readTrustedRoot } from './key-files.ts';

const PKI = join(import.meta.dirname, '../../../test/fixtures/provenance/pki');
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const refused = (about: RegExp) => (thrown: unknown) =>
  thrown instanceof Fault && thrown.code === 'invalid_configuration' && about.test(thrown.message);

describe('key files', () => {
  let dir = '';
  const write = (name: string, text: string | Buffer, mode = 0o600): string => {
    const path = join(dir, name);
    writeFileSync(path, text, { mode });
    chmodSync(path, mode);
    return path;
  };
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-keys-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  test('with a private key are read only when nobody else can read them', async () => {
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    assert.ok((await readPrivateKey(write('own.key', pem), undefined)).equals(privateKey));
    for (const mode of [0o640, 0o604, 0o620]) {
      await assert.rejects(readPrivateKey(write('open.key', pem, mode), undefined), refused(/chmod 600/));
    }
    await assert.rejects(readPrivateKey(join(dir, 'none.key'), undefined), refused(/cannot be read/));
  });

  test('with an encrypted key need the passphrase, which no message repeats', async () => {
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' });
    const path = write('locked.key', pem);
    assert.ok((await readPrivateKey(path, new Secret('open sesame'))).equals(privateKey));
    await assert.rejects(readPrivateKey(path, undefined), refused(/DAVY_KEY_PASSPHRASE/));
    await assert.rejects(readPrivateKey(path, new Secret('wrong word')), (thrown) => {
      assert.ok(refused(/passphrase is wrong/)(thrown));
      return !(thrown as Fault).message.includes('wrong word');
    });
  });

  test('with a private key do not serve for verifying', async () => {
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    await assert.rejects(readPublicKey(write('own.key', pem)), refused(/private key/));
    const path = write('own.pub', publicKey.export({ type: 'spki', format: 'pem' }), 0o644);
    assert.ok((await readPublicKey(path)).equals(publicKey));
  });

  test('with keys and texts of other kinds are refused with their names', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
    const path = write('rsa.pub', rsa.export({ type: 'spki', format: 'pem' }));
    await assert.rejects(readPublicKey(path), refused(/rsa\.pub.*P-256/));
    const text = write('text', 'hello');
    await assert.rejects(readPublicKey(text), refused(/no public key/));
    await assert.rejects(readCertificates([text]), refused(/no certificate/));
    await assert.rejects(readTrustedRoot(text), refused(/no trusted root/));
  });

  test('with certificates give all of them, in order', async () => {
    const paths = ['leaf', 'int', 'root'].map((name) => join(PKI, `${name}.pem`));
    const subjects = (await readCertificates(paths)).map(({ subject }) => subject.split('\n').at(-1));
    assert.deepEqual(subjects, ['CN=leaf', 'CN=int', 'CN=root']);
  });
});

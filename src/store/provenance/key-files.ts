// Keys, certificates and trusted roots as files of the operator's.
import { createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { hashOfKey, Refusal } from '../../archive/index.ts';
import { Fault, type Secret } from '../../kernel/index.ts';

/** PEM files are a few kilobytes; a bundle of roots a few hundred. */
const MAX_KEY_FILE_BYTES = 1024 * 1024;
const OTHERS = 0o077;

/** Throws `invalid_configuration`, also for a file that others than its owner could read. */
export async function readPrivateKey(path: string, passphrase: Secret | undefined): Promise<KeyObject> {
  const pem = await readOwnFile(path);
  try {
    const key = createPrivateKey({
      key: pem,
      ...(passphrase === undefined ? {} : { passphrase: passphrase.reveal() }),
    });
    return usable(key, path);
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    throw passphrase === undefined && pem.includes('ENCRYPTED')
      ? problem(`The private key ${path} is encrypted: put its passphrase into DAVY_KEY_PASSPHRASE.`)
      : problem(`${path} is no private key in PEM form, or the passphrase is wrong.`);
  } finally {
    pem.fill(0);
  }
}

/** Throws `invalid_configuration`. A certificate stands for its key, too; a private key is refused, not used. */
export async function readPublicKey(path: string): Promise<KeyObject> {
  const pem = await readText(path);
  if (pem.includes('PRIVATE KEY')) throw problem(`${path} holds a private key; to verify, use the public one.`);
  try {
    return usable(createPublicKey(pem), path);
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    throw problem(`${path} is no public key in PEM form.`, thrown);
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** All certificates of PEM files, in order. Throws `invalid_configuration`. */
export async function readCertificates(paths: readonly string[]): Promise<readonly X509Certificate[]> {
  const certificates: X509Certificate[] = [];
  for (const path of paths) {
    const found = (await readText(path)).match(CERTIFICATE);
    if (found === null) throw problem(`${path} holds no certificate in PEM form.`);
    try {
      certificates.push(...found.map((pem) => new X509Certificate(pem)));
    } catch (thrown) {
      throw problem(`${path} holds a certificate that cannot be read.`, thrown);
    }
  }
  return certificates;
}

/** The parsed JSON of a trusted_root.json, or of the client trust configuration that has one in it. */
export async function readTrustedRoot(path: string): Promise<unknown> {
  try {
    const root = JSON.parse(await readText(path)) as { readonly trustedRoot?: unknown };
    return root.trustedRoot ?? root;
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    throw problem(`${path} is no trusted root in JSON form.`, thrown);
  }
}

async function readOwnFile(path: string): Promise<Buffer> {
  await using handle = await open(path, 'r').catch((cause: unknown) => {
    throw problem(`${path} cannot be read.`, cause);
  });
  const { mode, uid, size } = await handle.stat();
  const owner = process.geteuid?.() ?? uid;
  if ((mode & OTHERS) !== 0 || (uid !== owner && uid !== 0)) {
    throw problem(`${path} could be read by others, so its key is not used. Protect it first: chmod 600 ${path}`);
  }
  if (size > MAX_KEY_FILE_BYTES) throw problem(`${path} is too large for a key.`);
  return await handle.readFile();
}

async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw problem(`${path} cannot be read.`, cause);
  });
  if (bytes.length > MAX_KEY_FILE_BYTES) throw problem(`${path} is too large.`);
  return bytes.toString();
}

function usable(key: KeyObject, path: string): KeyObject {
  try {
    hashOfKey(key);
    return key;
  } catch (thrown) {
    throw thrown instanceof Refusal ? problem(`${path}: ${thrown.message}`) : thrown;
  }
}

const problem = (message: string, cause?: unknown): Fault => new Fault('invalid_configuration', message, { cause });

// Elliptic-curve keys as OpenSSF Model Signing allows them: P-256, P-384, P-521, each with its own hash (algorithm registry).
import { createHash, sign, verify, type KeyObject } from 'node:crypto';
import { Refusal } from '../content/refusal.ts';

const HASH_OF_CURVE: Readonly<Record<string, string>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
  secp521r1: 'sha512',
};

/** Throws a Refusal with `signature_invalid` for RSA, Ed25519 and other curves, which the registry does not have. */
export function hashOfKey(key: KeyObject): string {
  const curve = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : undefined;
  const hash = curve === undefined ? undefined : HASH_OF_CURVE[curve];
  if (hash !== undefined) return hash;
  const found = curve ?? key.asymmetricKeyType ?? 'unknown';
  throw new Refusal(
    'signature_invalid',
    `Model signatures use the curves P-256, P-384 or P-521; this key is ${found}.`,
  );
}

/** DER-encoded ECDSA signature. */
export function signBytes(bytes: Uint8Array, privateKey: KeyObject): Buffer {
  return sign(hashOfKey(privateKey), bytes, privateKey);
}

export function isSignedBy(publicKey: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean {
  return verify(hashOfKey(publicKey), bytes, publicKey, signature);
}

/** How a bundle names its key: sha256, in hex, of the PEM text of the public key. */
export function keyHint(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'pem' }))
    .digest('hex');
}

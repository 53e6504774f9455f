// Who signed what: a bundle against the signers that somebody trusts. First the signature over the bytes, then their meaning.
import type { KeyObject } from 'node:crypto';
import { Refusal } from '../content/refusal.ts';
import { parseBundle, preAuthenticationEncoding, type SignatureBundle } from './bundle.ts';
import { identityOf, verifyChain, type ChainTrust } from './certificate-chain.ts';
import { verifyKeyless, type KeylessTrust } from './keyless.ts';
import { isSignedBy, keyHint } from './signing-key.ts';
import { parseStatement, type Statement } from './statement.ts';

/** Somebody whose signature counts. `name` is the operator's word for it. */
export type TrustedSigner =
  | { readonly method: 'key'; readonly name: string; readonly key: KeyObject }
  /** With `identity`, only this e-mail address, URI or subject below the roots. */
  | ({ readonly method: 'certificate'; readonly name: string; readonly identity: string | undefined } & ChainTrust)
  | ({ readonly method: 'keyless'; readonly name: string } & KeylessTrust);

export interface Signer {
  /** As the operator calls it. */
  readonly name: string;
  readonly method: TrustedSigner['method'];
  /** `sha256:…` of the key, or the e-mail address, URI or subject in the certificate. */
  readonly identity: string;
}

export interface VerifiedSignature {
  readonly signer: Signer;
  readonly statement: Statement;
}

/**
 * The first of `signers` by whom the bundle is signed, and what it says. Throws a Refusal: `signature_invalid` where the
 * bundle is broken, `signature_untrusted` where it may be sound but is by nobody of them.
 */
export async function verifySignature(
  bytes: Uint8Array,
  signers: readonly TrustedSigner[],
  at: Date,
): Promise<VerifiedSignature> {
  const bundle = parseBundle(bytes);
  const fitting = signers.filter(({ method }) => method === bundle.method.kind);
  let refusal = new Refusal('signature_untrusted', `It is signed by ${describeMethod(bundle)}, which nobody trusts.`);
  for (const signer of fitting) {
    try {
      const identity = await verifyBy(bundle, signer, at);
      const statement = parseStatement(bundle.payload);
      return { signer: { name: signer.name, method: signer.method, identity }, statement };
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      // A broken signature says more than one by somebody else.
      if (refusal.code !== 'signature_invalid') refusal = thrown;
    }
  }
  throw refusal;
}

/** The identity under which `signer` signed, or a Refusal. */
async function verifyBy(bundle: SignatureBundle, signer: TrustedSigner, at: Date): Promise<string> {
  switch (signer.method) {
    case 'key':
      return verifyByKey(bundle, signer.key);
    case 'certificate':
      return await verifyByCertificate(bundle, signer, at);
    case 'keyless':
      await verifyKeyless(bundle, signer);
      return signer.identity;
  }
}

function verifyByKey(bundle: SignatureBundle, key: KeyObject): string {
  const hint = keyHint(key);
  if (bundle.method.kind !== 'key' || !namesKey(bundle.method, key, hint)) {
    throw new Refusal('signature_untrusted', `It is signed by ${describeMethod(bundle)}, not by the trusted key.`);
  }
  requireSignature(bundle, key);
  return `sha256:${hint}`;
}

async function verifyByCertificate(
  bundle: SignatureBundle,
  signer: TrustedSigner & { readonly method: 'certificate' },
  at: Date,
): Promise<string> {
  if (bundle.method.kind !== 'certificate') throw new Refusal('signature_untrusted', 'It has no certificates.');
  const certificate = await verifyChain(bundle.method.chain, signer, at);
  requireSignature(bundle, certificate.publicKey);
  const identity = await identityOf(certificate);
  if (signer.identity === undefined || signer.identity === identity) return identity;
  throw new Refusal('signature_untrusted', `It is signed by ${identity}.`);
}

function requireSignature({ payload, signature }: SignatureBundle, key: KeyObject): void {
  if (isSignedBy(key, preAuthenticationEncoding(payload), signature)) return;
  throw new Refusal('signature_invalid', 'The signature does not match what it signs.');
}

/** Both ways of naming a key must name this one; bundles before 1.1.0 carry the key itself, as PEM or DER. */
function namesKey(method: SignatureBundle['method'] & { kind: 'key' }, key: KeyObject, hint: string): boolean {
  const { rawKey } = method;
  if (method.hint !== undefined && method.hint !== hint) return false;
  if (rawKey === undefined) return method.hint !== undefined;
  const pem = Buffer.from(key.export({ type: 'spki', format: 'pem' }));
  return rawKey.equals(pem) || rawKey.equals(key.export({ type: 'spki', format: 'der' }));
}

function describeMethod({ method }: SignatureBundle): string {
  if (method.kind === 'key') return method.hint === undefined ? 'a key' : `the key ${method.hint.slice(0, 16)}…`;
  return method.kind === 'certificate' ? 'a certificate' : 'a keyless identity';
}

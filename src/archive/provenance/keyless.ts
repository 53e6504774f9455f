// Keyless signatures: a short-lived certificate for an identity, with proofs that it and the signature were logged.
// The sigstore library checks the proofs against the operator's trusted root; no service is asked.
import { Refusal } from '../content/refusal.ts';
import type { SignatureBundle } from './bundle.ts';
import { parseCertificate } from './certificate-chain.ts';

export interface KeylessTrust {
  /** The parsed JSON of a trusted_root.json: certificate authorities, transparency logs, timestamp authorities. */
  readonly trustedRoot: unknown;
  /** E-mail address or URI of the signer, compared as a whole. */
  readonly identity: string;
  /** Who vouched for the identity: the URL of the OpenID Connect issuer, compared as a whole. */
  readonly issuer: string;
}

/** Returns when signature, proofs and identity all hold. Throws a Refusal: `signature_invalid` or `signature_untrusted`. */
export async function verifyKeyless(bundle: SignatureBundle, trust: KeylessTrust): Promise<void> {
  const [{ bundleFromJSON }, { TrustedRoot }, { toSignedEntity, toTrustMaterial, Verifier }] = await Promise.all([
    import('@sigstore/bundle'),
    import('@sigstore/protobuf-specs'),
    import('@sigstore/verify'),
  ]);
  // The library's reader is lenient about what frames the certificate.
  if (bundle.method.kind === 'keyless') parseCertificate(bundle.method.certificate);
  let found: { readonly name: string | undefined; readonly issuer: string | undefined };
  try {
    const parsed = bundleFromJSON(JSON.parse(bundle.text));
    const isSame =
      parsed.content.$case === 'dsseEnvelope' && bundle.payload.equals(parsed.content.dsseEnvelope.payload);
    if (!isSame) throw new Error('two readers see two payloads');
    const material = toTrustMaterial(TrustedRoot.fromJSON(trust.trustedRoot));
    const thresholds = { ctlogThreshold: 1, tlogThreshold: 1, timestampThreshold: 1 };
    const { identity } = new Verifier(material, thresholds).verify(toSignedEntity(parsed));
    found = { name: identity?.subjectAlternativeName, issuer: identity?.extensions?.issuer };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Refusal('signature_invalid', `The keyless signature does not hold: ${reason}.`);
  }
  // The library would take the wanted identity for a regular expression; here it is compared as it is.
  if (found.name === trust.identity && found.issuer === trust.issuer) return;
  throw new Refusal('signature_untrusted', `It was signed by ${found.name} (vouched for by ${found.issuer}).`);
}

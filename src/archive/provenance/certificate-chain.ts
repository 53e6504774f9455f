// From a signer's certificate to a root that the operator trusts. No path is searched for: the bundle gives the chain in
// order, and every link of it is checked, so that no byte of a certificate goes unlooked at.
import { X509Certificate } from 'node:crypto';
import { Refusal } from '../content/refusal.ts';

export interface ChainTrust {
  /** Certificates that need no further proof; nothing of the machine's own store is added. */
  readonly roots: readonly X509Certificate[];
  /**
   * Accept a signer's certificate that has run out since: the chain is then judged at the moment when that certificate
   * began, as the reference implementation does. Without a timestamp nobody can tell when the signature was made.
   */
  readonly acceptsExpired: boolean;
}

const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';
/** Basic constraints, key usage, extended key usage, subject alternative name, certificate policies. */
const KNOWN_CRITICAL = new Set(['2.5.29.19', '2.5.29.15', '2.5.29.37', '2.5.29.17', '2.5.29.32']);

/** The signer's certificate, trusted for signing code at `at`. Throws a Refusal: `signature_invalid` or `signature_untrusted`. */
export async function verifyChain(ders: readonly Buffer[], trust: ChainTrust, at: Date): Promise<X509Certificate> {
  const chain = ders.map(parseCertificate);
  const [signer] = chain;
  if (signer === undefined) throw new Refusal('signature_invalid', 'The signature has no certificate.');
  for (const [i, certificate] of chain.entries()) {
    const issuer = chain[i + 1];
    if (issuer !== undefined && !isIssuedBy(certificate, issuer)) {
      throw new Refusal('signature_invalid', 'The certificates of the signature are not a chain.');
    }
  }
  const path = [signer, ...issuersUpToRoot(chain, trust.roots)];
  const judgedAt = trust.acceptsExpired ? signer.validFromDate : at;
  for (const [i, certificate] of path.entries()) {
    requireValidity(certificate, judgedAt);
    await requireExtensions(certificate, i);
  }
  return signer;
}

/** How policies and people name a signer: its e-mail address or URI, else the whole subject. */
export async function identityOf(certificate: X509Certificate): Promise<string> {
  const { X509Certificate: Parsed } = await import('@sigstore/core');
  const names = Parsed.parse(Buffer.from(certificate.raw)).extSubjectAltName;
  return names?.rfc822Name ?? names?.uri ?? certificate.subject.replaceAll('\n', ', ');
}

/** The rest of the path behind the signer; the chain may end at a root or right below one. */
function issuersUpToRoot(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): readonly X509Certificate[] {
  const anchor = chain.findIndex((certificate) => roots.some((root) => root.raw.equals(certificate.raw)));
  if (anchor >= 0) return chain.slice(1, anchor + 1);
  const last = chain.at(-1)!;
  const root = roots.find((candidate) => isIssuedBy(last, candidate));
  if (root !== undefined) return [...chain.slice(1), root];
  throw new Refusal('signature_untrusted', 'The signer’s certificate leads to none of the trusted roots.');
}

/** Names, key identifiers and the right to issue (OpenSSL checks all three), then the signature. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function requireValidity(certificate: X509Certificate, at: Date): void {
  if (at >= certificate.validFromDate && at <= certificate.validToDate) return;
  throw new Refusal(
    'signature_untrusted',
    `A certificate of the signature is valid only from ${certificate.validFrom} to ${certificate.validTo}.`,
  );
}

/** `depth` is 0 for the signer, 1 for its issuer and so on. */
async function requireExtensions(certificate: X509Certificate, depth: number): Promise<void> {
  const { X509Certificate: Parsed } = await import('@sigstore/core');
  const parsed = Parsed.parse(Buffer.from(certificate.raw));
  for (const { subs } of parsed.extensions) {
    const oid = subs[0]!.toOID();
    const isCritical = subs.length === 3 && subs[1]!.toBoolean();
    if (isCritical && !KNOWN_CRITICAL.has(oid)) throw untrusted(`has a critical extension (${oid}) that is not known`);
  }
  if (/sha1|md5/i.test(certificate.signatureAlgorithm ?? '')) throw untrusted('is signed with a broken hash');
  if (depth === 0) {
    const purposes = certificate.keyUsage as readonly string[] | undefined;
    const mayNotSign = parsed.extKeyUsage !== undefined && !parsed.extKeyUsage.digitalSignature;
    const isForOtherUse = purposes !== undefined && !purposes.includes(CODE_SIGNING);
    const saysNothing = parsed.extKeyUsage === undefined && purposes === undefined;
    if (mayNotSign || isForOtherUse || saysNothing) throw untrusted('is not one for signing code');
    return;
  }
  const limit = parsed.extBasicConstraints?.pathLenConstraint;
  if (!certificate.ca) throw untrusted('issued another one but is not an authority');
  if (limit !== undefined && limit < BigInt(depth - 1)) throw untrusted('has more authorities below it than it allows');
}

const untrusted = (reason: string): Refusal =>
  new Refusal('signature_untrusted', `A certificate of the signature ${reason}.`);

/** The one certificate that these bytes are, and nothing beside it. */
export function parseCertificate(der: Buffer): X509Certificate {
  try {
    const certificate = new X509Certificate(der);
    // PEM would be taken too, and bytes after the certificate would be ignored.
    if (certificate.raw.equals(der)) return certificate;
  } catch {
    // Said below.
  }
  throw new Refusal('signature_invalid', 'A certificate of the signature is malformed.');
}

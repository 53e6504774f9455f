// The sigstore bundle around a signature: a DSSE envelope, and what is needed to verify it.
//
// The whole file is attacker text until the signature is verified. Key names and encodings are exact, so that no byte of
// a bundle can be changed without it being refused or another signature.
import { Refusal } from '../content/refusal.ts';
import { parseStrictJson, type Json, type JsonObject } from '../content/strict-json.ts';

export const BUNDLE_MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
/** A statement takes some 150 bytes a file, a third more in base64; an archive has 10,000 files at most. */
export const MAX_BUNDLE_BYTES = 16 * 1024 * 1024;

/** How the bundle says it was signed. */
export type SigningMethod =
  | { readonly kind: 'key'; readonly hint: string | undefined; readonly rawKey: Buffer | undefined }
  /** DER, the signer's own certificate first. */
  | { readonly kind: 'certificate'; readonly chain: readonly Buffer[] }
  /** DER. The proofs beside it are read by the sigstore library. */
  | { readonly kind: 'keyless'; readonly certificate: Buffer };

export interface SignatureBundle {
  readonly method: SigningMethod;
  readonly payload: Buffer;
  readonly signature: Buffer;
  /** The text as it was read: what the sigstore library parses for keyless signatures. */
  readonly text: string;
}

/** Throws a Refusal with `signature_invalid`. */
export function parseBundle(bytes: Uint8Array): SignatureBundle {
  if (bytes.length > MAX_BUNDLE_BYTES) throw invalid('it is too large');
  const text = utf8(bytes);
  const bundle = objectOf(parseStrictJson(text, 'signature_invalid'), 'bundle');
  allowKeys(bundle, ['mediaType', 'verificationMaterial', 'dsseEnvelope']);
  if (bundle.get('mediaType') !== BUNDLE_MEDIA_TYPE) throw invalid(`mediaType must be ${BUNDLE_MEDIA_TYPE}`);
  const envelope = objectOf(bundle.get('dsseEnvelope'), 'dsseEnvelope');
  allowKeys(envelope, ['payload', 'payloadType', 'signatures']);
  if (envelope.get('payloadType') !== PAYLOAD_TYPE) throw invalid(`payloadType must be ${PAYLOAD_TYPE}`);
  return {
    method: methodOf(objectOf(bundle.get('verificationMaterial'), 'verificationMaterial')),
    payload: base64Of(envelope.get('payload')),
    signature: signatureOf(envelope.get('signatures')),
    text,
  };
}

/** The text of a bundle by key or certificate, as the reference implementation writes it. */
export function renderBundle(
  material: { readonly hint: string } | { readonly chain: readonly Buffer[] },
  payload: Buffer,
  signature: Buffer,
): string {
  const verificationMaterial =
    'hint' in material
      ? { publicKey: { hint: material.hint }, tlogEntries: [] }
      : {
          x509CertificateChain: {
            certificates: material.chain.map((der) => ({ rawBytes: der.toString('base64') })),
          },
          tlogEntries: [],
        };
  const dsseEnvelope = {
    payload: payload.toString('base64'),
    payloadType: PAYLOAD_TYPE,
    signatures: [{ sig: signature.toString('base64'), keyid: '' }],
  };
  return JSON.stringify({ mediaType: BUNDLE_MEDIA_TYPE, verificationMaterial, dsseEnvelope });
}

/** DSSE's pre-authentication encoding: the bytes that are really signed. */
export function preAuthenticationEncoding(payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function methodOf(material: JsonObject): SigningMethod {
  allowKeys(material, ['publicKey', 'x509CertificateChain', 'certificate', 'tlogEntries', 'timestampVerificationData']);
  const kinds = ['publicKey', 'x509CertificateChain', 'certificate'].filter((key) => material.has(key));
  if (kinds.length !== 1) throw invalid('it must name exactly one key, chain or certificate');
  if (kinds[0] === 'certificate') return { kind: 'keyless', certificate: certificateOf(material.get('certificate')) };
  // A log entry beside a key or a chain would be checked by nobody.
  const entries = material.get('tlogEntries') ?? [];
  if (!Array.isArray(entries) || entries.length > 0 || material.has('timestampVerificationData')) {
    throw invalid('log entries and timestamps belong to keyless signatures');
  }
  return kinds[0] === 'publicKey'
    ? keyMethod(objectOf(material.get('publicKey'), 'publicKey'))
    : chainMethod(objectOf(material.get('x509CertificateChain'), 'x509CertificateChain'));
}

/** `hint` since version 1.1.0 of the reference implementation, `rawBytes` before (spec 11.2). */
function keyMethod(key: JsonObject): SigningMethod {
  allowKeys(key, ['hint', 'rawBytes', 'keyDetails']);
  const hint = key.get('hint');
  if (hint !== undefined && typeof hint !== 'string') throw invalid('hint is not a text');
  const raw = key.get('rawBytes');
  return { kind: 'key', hint, rawKey: raw === undefined ? undefined : base64Of(raw) };
}

/** Signer, two authorities and a root are usual; each further one is work for whoever sends it. */
const MAX_CHAIN = 5;

function chainMethod(chain: JsonObject): SigningMethod {
  allowKeys(chain, ['certificates']);
  const certificates = chain.get('certificates');
  if (!Array.isArray(certificates) || certificates.length === 0) throw invalid('its chain is empty');
  if (certificates.length > MAX_CHAIN) throw invalid(`its chain is longer than ${MAX_CHAIN} certificates`);
  return {
    kind: 'certificate',
    chain: certificates.map(certificateOf),
  };
}

function certificateOf(value: Json | undefined): Buffer {
  const certificate = objectOf(value, 'certificate');
  allowKeys(certificate, ['rawBytes']);
  return base64Of(certificate.get('rawBytes'));
}

function signatureOf(signatures: Json | undefined): Buffer {
  if (!Array.isArray(signatures) || signatures.length !== 1) throw invalid('it must have exactly one signature');
  const signature = objectOf(signatures[0], 'signature');
  allowKeys(signature, ['sig', 'keyid']);
  const keyId = signature.get('keyid') ?? '';
  if (keyId !== '') throw invalid('keyid must be empty');
  return base64Of(signature.get('sig'));
}

/** One spelling for one content: what decodes to the same bytes but is written differently is refused. */
function base64Of(value: Json | undefined): Buffer {
  if (typeof value === 'string' && value !== '') {
    const bytes = Buffer.from(value, 'base64');
    if (bytes.toString('base64') === value) return bytes;
  }
  throw invalid('a value is not base64');
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid('it is not UTF-8');
  }
}

function objectOf(value: Json | undefined, what: string): JsonObject {
  if (value instanceof Map) return value;
  throw invalid(`${what} is not an object`);
}

function allowKeys(object: JsonObject, allowed: readonly string[]): void {
  for (const key of object.keys())
    if (!allowed.includes(key)) throw invalid(`the key ${JSON.stringify(key)} is unknown`);
}

const invalid = (reason: string): Refusal => new Refusal('signature_invalid', `The signature bundle: ${reason}.`);

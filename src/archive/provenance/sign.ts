// Makes a signature bundle for a list of files. Key and certificates come as objects: nothing secret passes through here as text.
import { X509Certificate, createPublicKey, type KeyObject } from 'node:crypto';
import { Refusal } from '../content/refusal.ts';
import { preAuthenticationEncoding, renderBundle } from './bundle.ts';
import { keyHint, signBytes } from './signing-key.ts';
import { renderStatement } from './statement.ts';

export interface SigningRequest {
  /** Base name of what is signed; informational. */
  readonly subject: string;
  /** sha256 in hex by name. */
  readonly files: ReadonlyMap<string, string>;
  /** Left out of `files` on purpose, and said so in the statement. */
  readonly ignoredPaths: readonly string[];
  readonly privateKey: KeyObject;
  /** The signer's own certificate first; empty to sign by key. */
  readonly chain: readonly X509Certificate[];
}

/** The text of the bundle. Throws a Refusal for a key that cannot sign models, or certificates that are not the key's. */
export function signFiles({ subject, files, ignoredPaths, privateKey, chain }: SigningRequest): string {
  if (files.size === 0) throw new Refusal('signature_invalid', 'There is nothing to sign: no files.');
  const payload = renderStatement(subject, files, ignoredPaths);
  const signature = signBytes(preAuthenticationEncoding(payload), privateKey);
  const [own] = chain;
  if (own === undefined) return renderBundle({ hint: keyHint(createPublicKey(privateKey)) }, payload, signature);
  if (!own.checkPrivateKey(privateKey)) {
    throw new Refusal('signature_invalid', 'The first certificate is not the one of the private key.');
  }
  return renderBundle({ chain: chain.map(({ raw }) => raw) }, payload, signature);
}

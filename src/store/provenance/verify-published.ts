// Verifies the signature of an unpacked model. Runs in an admission thread: bundle and files are an attacker's until it ends.
import {
  coversArchive,
  Refusal,
  requireSignedFiles,
  verifySignature,
  type QuarantinedFile,
  type Signer,
  type TrustedSigner,
} from '../../archive/index.ts';
import type { FindingCode } from '../../kernel/index.ts';
import { digestFiles } from './model-files.ts';

/** Plain data and keys, which cross a thread boundary. */
export interface SignatureCheck {
  readonly bundle: Uint8Array;
  readonly signers: readonly TrustedSigner[];
  /** Unix time in milliseconds. */
  readonly atMs: number;
  /** Lower-case hex sha256 of the archive as such. */
  readonly archiveDigest: string;
}

/** Who signed, or why that does not count. */
export type SignatureOutcome =
  | { readonly signer: Signer }
  | { readonly signer: null; readonly code: FindingCode; readonly message: string };

/** `files` are all of the model. */
export async function verifyPublished(
  { bundle, signers, atMs, archiveDigest }: SignatureCheck,
  files: readonly QuarantinedFile[],
  signal: AbortSignal,
): Promise<SignatureOutcome> {
  try {
    const { signer, statement } = await verifySignature(bundle, signers, new Date(atMs));
    if (!coversArchive(statement, archiveDigest)) requireSignedFiles(statement, await digestFiles(files, signal));
    return { signer };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    return { signer: null, code: thrown.code, message: thrown.message };
  }
}

// Whether the files at hand are the files that were signed: all of them, and no others.
import { Refusal } from '../content/refusal.ts';
import type { Statement } from './statement.ts';

/** Where a signature lies inside a model: beside its files (as the reference implementation has it), or in an archive. */
export const SIGNATURE_NAME = 'model.sig';
export const ARCHIVED_SIGNATURE_NAME = 'MAR-INF/model.sig';

/** Names that no signature need cover: a signature cannot cover itself, and another one changes nothing. */
export const isSignatureName = (name: string): boolean => name === SIGNATURE_NAME || name === ARCHIVED_SIGNATURE_NAME;

/** Name of the signature among the files of a model; undefined where there is none. */
export function signatureNameIn(names: readonly string[]): string | undefined {
  return [SIGNATURE_NAME, ARCHIVED_SIGNATURE_NAME].find((name) => names.includes(name));
}

/**
 * Compares with what the signature lists; `actual` are sha256 digests in hex by name. What the signer left out is not
 * excused by the statement's own list of ignored paths: an unsigned file is a file that anybody may have added.
 * Throws a Refusal with `signature_mismatch` that names the first difference.
 */
export function requireSignedFiles({ files }: Statement, actual: ReadonlyMap<string, string>): void {
  for (const [name, digest] of actual) {
    const signed = files.get(name);
    if (signed === undefined && isSignatureName(name)) continue;
    if (signed === undefined) throw mismatch(`${quoted(name)} is not covered by the signature`);
    if (signed !== digest) throw mismatch(`${quoted(name)} is not what was signed`);
  }
  for (const name of files.keys()) if (!actual.has(name)) throw mismatch(`${quoted(name)} was signed and is missing`);
}

/** A signature over the archive file as such: one digest, and it is the archive's. */
export function coversArchive({ files }: Statement, archiveDigest: string): boolean {
  return files.size === 1 && [...files.values()][0] === archiveDigest;
}

const quoted = (name: string): string => JSON.stringify(name);
const mismatch = (reason: string): Refusal => new Refusal('signature_mismatch', `${reason}.`);

// Signs a model where it lies, and says of a signed one by whom it is signed.
import { randomBytes } from 'node:crypto';
import type { KeyObject, X509Certificate } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  ARCHIVED_SIGNATURE_NAME,
  coversArchive,
  GIT_PATHS,
  isSignatureName,
  Refusal,
  requireSignedFiles,
  SIGNATURE_NAME,
  signFiles,
  verifySignature,
  type TrustedSigner,
  type VerifiedSignature,
} from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { fileForInspection } from '../models/inspection-source.ts';
import { errorCode } from '../models/published-download.ts';
import { defaultSignaturePath, readModelFiles, readSmall, sidecarOf, type ModelFiles } from './model-files.ts';

export interface SignModelOptions {
  readonly path: string;
  readonly privateKey: KeyObject;
  /** The signer's own certificate first; empty to sign by key. */
  readonly chain: readonly X509Certificate[];
  /** Default: `model.sig` inside a directory, `NAME.sig` beside a file. */
  readonly signaturePath: string | undefined;
  readonly overwrites: boolean;
}

/** Returns where the signature went. Throws `file_exists`, `archive_refused`, `usage`. */
export async function signModel(options: SignModelOptions, signal: AbortSignal): Promise<string> {
  const { path, privateKey, chain, overwrites } = options;
  const model = await readModelFiles(path, signal);
  const target = options.signaturePath ?? defaultSignaturePath(path, model.kind);
  const ignoredPaths = model.kind === 'directory' ? [...GIT_PATHS, SIGNATURE_NAME, ARCHIVED_SIGNATURE_NAME] : [];
  const files = new Map([...withoutTarget(model, path, target)].filter(([name]) => !isSignatureName(name)));
  await writeWhole(target, signFiles({ subject: model.subject, files, ignoredPaths, privateKey, chain }), overwrites);
  return target;
}

export interface CheckedModel extends VerifiedSignature {
  readonly kind: ModelFiles['kind'];
  /** As many as the signature lists. */
  readonly fileCount: number;
}

/**
 * Throws a Refusal with the code of the finding; `signature_missing` where there is none. `signaturePath` default: beside
 * the model, else inside it.
 */
export async function verifyModel(
  path: string,
  signaturePath: string | undefined,
  signers: readonly TrustedSigner[],
  at: Date,
  signal: AbortSignal,
): Promise<CheckedModel> {
  const model = await readModelFiles(path, signal);
  const outer = signaturePath === undefined ? await readIfThere(sidecarOf(path)) : await readSignature(signaturePath);
  const bytes = outer ?? model.innerSignature;
  if (bytes === undefined) throw new Refusal('signature_missing', 'It is not signed.');
  const verified = await verifySignature(bytes, signers, at);
  const { kind, wholeDigest } = model;
  const isWhole = wholeDigest !== undefined && coversArchive(verified.statement, wholeDigest);
  if (!isWhole) {
    requireSignedFiles(verified.statement, withoutTarget(model, path, signaturePath ?? sidecarOf(path)));
  }
  return { ...verified, kind, fileCount: verified.statement.files.size };
}

/** A signature that lies inside its directory under another name than the usual ones is no part of the model either. */
function withoutTarget({ kind, digests }: ModelFiles, path: string, target: string): ReadonlyMap<string, string> {
  if (kind !== 'directory') return digests;
  return new Map([...digests].filter(([name]) => resolve(path, name) !== resolve(target)));
}

async function readSignature(path: string): Promise<Uint8Array> {
  const bytes = await readIfThere(path);
  if (bytes === undefined) throw new Refusal('signature_missing', `${path} does not exist.`);
  return bytes;
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readSmall(await fileForInspection(path, path));
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** Complete or not at all; never through a link, never over another file unless asked to. */
async function writeWhole(target: string, text: string, overwrites: boolean): Promise<void> {
  const part = join(dirname(target), `.${randomBytes(8).toString('hex')}.part`);
  try {
    await using handle = await open(part, 'wx', 0o644);
    await handle.writeFile(text);
    await handle.sync();
    if (overwrites) await rename(part, target);
    else await link(part, target);
  } catch (thrown) {
    if (errorCode(thrown) !== 'EEXIST') throw thrown;
    throw new Fault('file_exists', `${target} exists; --force replaces it.`, { cause: thrown });
  } finally {
    await rm(part, { force: true });
  }
}

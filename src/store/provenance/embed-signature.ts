// Puts the signature into the archive itself, for models that are downloaded: a sidecar does not travel with a URL.
import { randomBytes } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  ARCHIVED_SIGNATURE_NAME,
  DEFAULT_CONTAINER_LIMITS,
  isSignatureName,
  MANIFEST_NAME,
  signFiles,
} from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import type { InputFile } from '../archiver/input-files.ts';
import { writeZip } from '../archiver/write-container.ts';
import { unpackForInspection } from '../models/inspection-source.ts';
import type { StoredFile } from '../models/quarantine.ts';
import { digestFiles } from './model-files.ts';
import type { SignModelOptions } from './sign-model.ts';

/**
 * Writes the archive anew, reproducibly, with `MAR-INF/model.sig` over everything else in it; its digest changes. Returns
 * the name of the signature in it. Throws `usage` for what is no `.mar`.
 */
export async function embedSignature(
  { path, privateKey, chain }: Pick<SignModelOptions, 'path' | 'privateKey' | 'chain'>,
  signal: AbortSignal,
): Promise<string> {
  if (!path.endsWith('.mar')) throw new Fault('usage', `${path}: only a .mar archive can carry its signature inside.`);
  const { mode } = await stat(path);
  await using archive = await unpackForInspection(path, DEFAULT_CONTAINER_LIMITS, signal);
  const covered = archive.files.filter(({ name }) => !isSignatureName(name));
  const files = await digestFiles(covered, signal);
  const bundle = signFiles({
    subject: basename(path),
    files,
    ignoredPaths: [ARCHIVED_SIGNATURE_NAME],
    privateKey,
    chain,
  });
  const [manifest, ...rest] = [...covered.map(asInput), signatureInput(bundle)].toSorted(manifestFirst);
  const part = join(dirname(path), `.${randomBytes(8).toString('hex')}.part`);
  try {
    await writeZip(part, rest, manifest!, true, mode & 0o777);
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
  return ARCHIVED_SIGNATURE_NAME;
}

const asInput = ({ name, path, size }: StoredFile): InputFile => ({ name, source: path, size, modifiedMs: 0 });

function signatureInput(bundle: string): InputFile {
  const content = Buffer.from(bundle);
  return { name: ARCHIVED_SIGNATURE_NAME, source: '', content, size: content.length, modifiedMs: 0 };
}

/** The order in which the archiver writes. */
function manifestFirst(a: InputFile, b: InputFile): number {
  if (a.name === MANIFEST_NAME || b.name === MANIFEST_NAME) return a.name === MANIFEST_NAME ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

// What a signature of a model covers, wherever the model lies: every file of an archive or a directory, or one loose file.
import { createHash } from 'node:crypto';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  checkMemberName,
  DEFAULT_CONTAINER_LIMITS,
  GIT_PATHS,
  MAX_BUNDLE_BYTES,
  quote,
  readRange,
  refuse,
  SIGNATURE_NAME,
  signatureNameIn,
  SINGLE_FILE,
  type RandomAccess,
} from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { fileForInspection, unpackForInspection } from '../models/inspection-source.ts';

export interface ModelFiles {
  readonly kind: 'archive' | 'directory' | 'file';
  /** Base name. */
  readonly subject: string;
  /** sha256 in lower-case hex by name, signatures included, without what git keeps at the top of a directory. */
  readonly digests: ReadonlyMap<string, string>;
  /** sha256 of the archive or file as such; undefined for a directory. */
  readonly wholeDigest: string | undefined;
  /** A signature that lies among the files. */
  readonly innerSignature: Uint8Array | undefined;
}

/** One file as this module sees it: named, and openable. */
export interface DigestSource {
  readonly name: string;
  readonly size: number;
  open(): Promise<RandomAccess & AsyncDisposable>;
}

const ARCHIVE = /\.(mar|war|zip|tgz|tar\.gz)$/i;

/** Whether a signature leaves this out of a directory: at its top only, as OpenSSF Model Signing has it (6.2). */
const isIgnored = (name: string): boolean => GIT_PATHS.includes(name.split('/', 1)[0]!);

/** Reads every byte once. Throws `archive_refused` for links and special files, `usage` for what is no model. */
export async function readModelFiles(path: string, signal: AbortSignal): Promise<ModelFiles> {
  const real = await realpath(path).catch((cause: unknown) => {
    throw new Fault('usage', `${path} does not exist.`, { cause });
  });
  const found = await stat(real);
  const subject = basename(real);
  if (found.isDirectory()) {
    const files = await directoryFiles(real);
    return { kind: 'directory', subject, wholeDigest: undefined, ...(await contentsOf(files, signal)) };
  }
  if (!found.isFile()) throw new Fault('usage', `${path} is neither a file nor a directory.`);
  const whole = await fileForInspection(real, subject);
  const wholeDigest = await digestOf(whole, signal);
  if (!ARCHIVE.test(subject)) {
    const digests = new Map([[SINGLE_FILE, wholeDigest]]);
    return { kind: 'file', subject, digests, wholeDigest, innerSignature: undefined };
  }
  await using archive = await unpackForInspection(real, DEFAULT_CONTAINER_LIMITS, signal);
  return { kind: 'archive', subject, wholeDigest, ...(await contentsOf(archive.files, signal)) };
}

/** Where the signature of a model is looked for beside it. */
export const sidecarOf = (path: string): string => `${path.replace(/\/+$/, '')}.sig`;

/** Where `davy sign` puts it. */
export const defaultSignaturePath = (path: string, kind: ModelFiles['kind']): string =>
  kind === 'directory' ? join(path, SIGNATURE_NAME) : sidecarOf(path);

/** sha256 of each file, in lower-case hex by name. */
export async function digestFiles(
  files: readonly DigestSource[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const digests = new Map<string, string>();
  for (const file of files) digests.set(file.name, await digestOf(file, signal));
  return digests;
}

/** The small file that holds a signature. */
export async function readSmall(file: DigestSource): Promise<Uint8Array> {
  if (file.size > MAX_BUNDLE_BYTES) throw refuse(`${quote(file.name)} is too large for a signature`);
  await using opened = await file.open();
  return await opened.read(0, file.size);
}

async function contentsOf(
  files: readonly DigestSource[],
  signal: AbortSignal,
): Promise<Pick<ModelFiles, 'digests' | 'innerSignature'>> {
  const name = signatureNameIn(files.map((file) => file.name));
  const inner = files.find((file) => file.name === name);
  return {
    digests: await digestFiles(files, signal),
    innerSignature: inner === undefined ? undefined : await readSmall(inner),
  };
}

async function digestOf(file: DigestSource, signal: AbortSignal): Promise<string> {
  await using opened = await file.open();
  const hash = createHash('sha256');
  for await (const piece of readRange(opened, 0, file.size)) {
    signal.throwIfAborted();
    hash.update(piece);
  }
  return hash.digest('hex');
}

async function directoryFiles(root: string): Promise<readonly DigestSource[]> {
  const files: DigestSource[] = [];
  const pending = [''];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of await readdir(join(root, directory))) {
      const name = directory === '' ? entry : `${directory}/${entry}`;
      if (isIgnored(name)) continue;
      checkMemberName(name, DEFAULT_CONTAINER_LIMITS);
      const found = await lstat(join(root, name));
      if (found.isDirectory()) pending.push(name);
      else if (found.isFile()) files.push(await fileForInspection(join(root, name), name));
      else
        throw refuse(
          `${quote(name)} is a link or a special file (cp -rL copies a model with the files that its links lead to)`,
        );
    }
  }
  return files;
}

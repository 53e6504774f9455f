// Fills a quarantine from an archive or a directory, and names what was read by digest.
import { createHash } from 'node:crypto';
import { lstat, readdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import {
  checkMemberName,
  gunzip,
  NameLedger,
  quote,
  readMember,
  readRange,
  readTarIndex,
  readZipIndex,
  refuse,
  type ContainerIndex,
  type ContainerLimits,
  type RandomAccess,
} from '../../archive/index.ts';
import { fileAccess, openedPath, openRegular } from './open-file.ts';
import { HashedAccess } from './hashed-access.ts';
import type { Quarantine } from './quarantine.ts';
import { isInside } from './resolve-local.ts';

/** Unpacks and names what it unpacked by the sha256 of the archive, in one pass. Throws `archive_refused`. */
export async function hashAndUnpack(
  archive: RandomAccess,
  fileName: string,
  into: Quarantine,
  limits: ContainerLimits,
  signal: AbortSignal,
): Promise<string> {
  const hashed = new HashedAccess(archive);
  await unpackArchive(hashed, fileName, into, limits, signal, () => hashed.beginStreaming());
  return await hashed.digest();
}

/** `.mar` is a zip, every other file a gzip tar (surface spec 8.1). */
export async function unpackArchive(
  archive: RandomAccess,
  fileName: string,
  into: Quarantine,
  limits: ContainerLimits,
  signal: AbortSignal,
  onIndexed: () => void = () => {},
): Promise<void> {
  if (fileName.endsWith('.mar')) {
    const index = await readZipIndex(archive, limits);
    onIndexed();
    await extract(archive, index, into, limits, signal);
    return;
  }
  onIndexed();
  await using spool = await into.unnamedScratch();
  const tar = await spoolTar(archive, spool, limits, signal);
  await extract(tar, await readTarIndex(tar, limits), into, limits, signal);
}

/** Copies a directory in; the digest is that of the list `sha256  name` of its files, sorted by name. */
export async function copyDirectory(
  path: string,
  into: Quarantine,
  limits: ContainerLimits,
  signal: AbortSignal,
): Promise<string> {
  const root = await modelRoot(path);
  const files = await listFiles(root, limits);
  const lines: string[] = [];
  let totalBytes = 0;
  for (const name of files) {
    await using handle = await openRegular(join(root, name)).catch((cause: unknown) => {
      throw refuse(`${quote(name)} is a link or a special file`, cause);
    });
    if (!isInside(await openedPath(handle, join(root, name)), root)) throw refuse(`${quote(name)} lies outside`);
    const { size } = await handle.stat();
    totalBytes += size;
    if (totalBytes > limits.maxTotalBytes) throw refuse('it is too large');
    await into.reserve(size);
    const hash = createHash('sha256');
    await into.add(name, tee(readRange(fileAccess(handle, size), 0, size), hash), limits, signal);
    lines.push(`${hash.digest('hex')}  ${name}\n`);
  }
  return createHash('sha256').update(lines.join('')).digest('hex');
}

async function extract(
  source: RandomAccess,
  index: ContainerIndex,
  into: Quarantine,
  limits: ContainerLimits,
  signal: AbortSignal,
): Promise<void> {
  await into.reserve(index.totalBytes);
  for (const member of index.members) await into.add(member.name, readMember(source, member), limits, signal);
}

async function spoolTar(
  archive: RandomAccess,
  spool: FileHandle,
  limits: ContainerLimits,
  signal: AbortSignal,
): Promise<RandomAccess> {
  await into(spool, gunzip(archive, limits), signal);
  return fileAccess(spool, (await spool.stat()).size);
}

async function into(spool: FileHandle, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  for await (const piece of bytes) {
    signal.throwIfAborted();
    for (let at = 0; at < piece.length;) at += (await spool.write(piece, at)).bytesWritten;
  }
}

/** A directory that holds exactly one sub-directory and nothing else stands for that one (surface spec 8.1). */
async function modelRoot(path: string): Promise<string> {
  const entries = await readdir(path, { withFileTypes: true });
  const [only] = entries;
  return entries.length === 1 && only!.isDirectory() ? join(path, only!.name) : path;
}

/** Names of all regular files, sorted; anything else than files and directories refuses the model. */
async function listFiles(root: string, limits: ContainerLimits): Promise<readonly string[]> {
  const names = new NameLedger();
  const files: string[] = [];
  const pending = [''];
  let entries = 0;
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of await readdir(join(root, directory), { encoding: 'buffer' })) {
      entries += 1;
      if (entries > limits.maxEntries) throw refuse(`it has more than ${limits.maxEntries} members`);
      const name = directory === '' ? entry.toString() : `${directory}/${entry.toString()}`;
      checkMemberName(name, limits);
      const found = await lstat(join(root, name));
      if (found.isDirectory()) {
        names.addDirectory(name);
        pending.push(name);
      } else if (found.isFile()) {
        names.addFile(name);
        files.push(name);
      } else
        throw refuse(
          `${quote(name)} is a link or a special file (cp -rL copies a model with the files that its links lead to)`,
        );
    }
  }
  return files.toSorted();
}

async function* tee(
  bytes: AsyncIterable<Uint8Array>,
  hash: { update(piece: Uint8Array): unknown },
): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    hash.update(piece);
    yield piece;
  }
}

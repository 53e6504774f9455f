// Where a model lies between its archive and its admission: written by us, read by inspectors, loadable by nobody.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, mkdir, open, rename, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { refuse, type ContainerLimits, type QuarantinedFile } from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { fileAccess, openRegular } from './open-file.ts';
import { removeTree } from './private-directory.ts';

/** Disk space that unpacking leaves free for everybody else: 256 MiB. */
const RESERVED_BYTES = 256 * 1024 * 1024;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** With its place on the disk, for whoever reads it from another thread or process. */
export interface StoredFile extends QuarantinedFile {
  readonly path: string;
}

/** One model being taken in. Disposing removes whatever was not published. */
export class Quarantine implements AsyncDisposable {
  readonly #dir: string;
  readonly #directories = new Set<string>();
  readonly #files = new Map<string, number>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** `parent` is a private directory. */
  static async create(parent: string): Promise<Quarantine> {
    const dir = join(parent, randomBytes(16).toString('hex'));
    await mkdir(dir, { mode: 0o700 });
    await mkdir(join(dir, 'files'), { mode: 0o700 });
    return new Quarantine(dir);
  }

  /** One that somebody else made, and disposes. */
  static at(dir: string): Quarantine {
    return new Quarantine(dir);
  }

  get dir(): string {
    return this.#dir;
  }

  get files(): readonly StoredFile[] {
    return [...this.#files].map(([name, size]) => storedFile(name, this.#path(name), size));
  }

  get contents(): readonly (readonly [name: string, size: number])[] {
    return [...this.#files];
  }

  get directories(): readonly string[] {
    return [...this.#directories];
  }

  /** Takes what a thread has put into this quarantine's directory. */
  adopt(files: readonly (readonly [name: string, size: number])[], directories: readonly string[]): void {
    for (const [name, size] of files) this.#files.set(name, size);
    for (const directory of directories) this.#directories.add(directory);
  }

  get names(): readonly string[] {
    return [...this.#files.keys()];
  }

  /** A scratch file beside the model: a download, an unpacked tar. `path` exists until the quarantine ends. */
  async scratch(name: string): Promise<{ readonly handle: FileHandle; readonly path: string }> {
    const path = join(this.#dir, name);
    return { handle: await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600), path };
  }

  /** A scratch file that has no name any more. */
  async unnamedScratch(): Promise<FileHandle> {
    const { handle, path } = await this.scratch('spool');
    await unlink(path);
    return handle;
  }

  /** Refuses early what the disk cannot hold. */
  async reserve(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#dir);
    if (bytes + RESERVED_BYTES > bavail * bsize) {
      throw new Fault('out_of_resources', 'Not enough disk space to unpack the model.');
    }
  }

  /** Writes one file; `name` has passed the archive room's checks, and every byte is counted by its reader. */
  async add(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    limits: ContainerLimits,
    signal: AbortSignal,
  ): Promise<void> {
    const path = this.#path(name);
    await this.#makeParents(name);
    await using handle = await open(path, CREATE, 0o400);
    let size = 0;
    let writing = Promise.resolve();
    try {
      for await (const piece of bytes) {
        signal.throwIfAborted();
        size += piece.length;
        if (size > limits.maxMemberBytes) throw refuse('a file is too large');
        // One write behind: the disk works while the next piece is read, inflated and checked.
        await writing;
        writing = writeFully(handle, piece);
        writing.catch(() => {});
      }
    } finally {
      await writing;
    }
    this.#files.set(name, size);
  }

  /** Makes everything read-only and moves it to `target` in one step. */
  async publish(target: string): Promise<void> {
    for (const name of this.#files.keys()) await chmod(this.#path(name), 0o444);
    for (const directory of this.#directories) await chmod(this.#path(directory), 0o555);
    await rename(join(this.#dir, 'files'), target);
    await chmod(target, 0o555);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeTree(this.#dir);
  }

  #path(name: string): string {
    return join(this.#dir, 'files', name);
  }

  async #makeParents(name: string): Promise<void> {
    const parent = dirname(name);
    if (parent === '.' || this.#directories.has(parent)) return;
    await this.#makeParents(parent);
    await mkdir(this.#path(parent), { mode: 0o700 });
    this.#directories.add(parent);
  }
}

/** A file in quarantine, for inspectors of this process. */
export function storedFile(name: string, path: string, size: number): StoredFile {
  return {
    name,
    path,
    size,
    async open() {
      const handle = await openRegular(path);
      return { ...fileAccess(handle, size), [Symbol.asyncDispose]: () => handle.close() };
    },
  };
}

/** Bytes of a small file. Throws `invalid_model`. */
export async function readSmall({ name, size, open }: StoredFile, maxBytes: number): Promise<Uint8Array> {
  if (size > maxBytes) throw new Fault('invalid_model', `${name} is larger than ${maxBytes} bytes.`);
  await using file = await open();
  return await file.read(0, size);
}

async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
}

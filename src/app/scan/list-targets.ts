// What `davy scan` looks at: every file under the given paths, each under the name by which it would be loaded.
//
// Nothing is left out in silence. A link is followed where it stays inside what is scanned, or leads into the blobs of a
// Hugging Face cache; what cannot be scanned (other links, pipes, devices, locked folders) becomes a target with a finding.
import { isUtf8 } from 'node:buffer';
import type { Dirent } from 'node:fs';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { Fault, makeFinding, type Finding } from '../../kernel/index.ts';

export interface ScanTarget {
  /** As it was given, with the rest of the way for files in directories. */
  readonly path: string;
  /** Where it lies, behind all links. Undefined for a file that was given itself. */
  readonly real?: string;
  /** Name relative to `siblings`. */
  readonly name: string;
  /** Sizes of the files that this one may refer to, by name. */
  readonly siblings: ReadonlyMap<string, number>;
  /** Why it cannot be looked at. */
  readonly obstacle?: Finding;
}

/** Real paths of all directories of one scan: links between them are links inside what is scanned. */
export async function scanRoots(paths: readonly string[]): Promise<readonly string[]> {
  return await Promise.all(paths.map((path) => realpath(path).catch(() => path)));
}

/** Everything under `path`. A link that is given itself is followed anywhere. Throws what the file system throws. */
export async function listTargets(path: string, roots?: readonly string[]): Promise<readonly ScanTarget[]> {
  const found = await stat(path);
  if (found.isDirectory()) {
    const entries = await new Walk(await realpath(path), roots ?? [await realpath(path)]).entries();
    const siblings = sizesOf(entries);
    return entries.map(({ name, real, obstacle }) => ({
      path: join(path, name),
      name,
      siblings,
      ...(real === undefined ? {} : { real }),
      ...(obstacle === undefined ? {} : { obstacle }),
    }));
  }
  if (!found.isFile()) throw new Fault('usage', `${path} is neither a file nor a directory.`);
  return [{ path, name: basename(path), siblings: await sizesBeside(path) }];
}

interface Entry {
  readonly name: string;
  readonly size: number;
  readonly real?: string;
  readonly obstacle?: Finding;
}

class Walk {
  readonly #root: string;
  readonly #roots: readonly string[];
  readonly #found: Entry[] = [];
  readonly #pending = [''];

  constructor(root: string, roots: readonly string[]) {
    this.#root = root;
    this.#roots = roots;
  }

  async entries(): Promise<readonly Entry[]> {
    for (let folder = this.#pending.pop(); folder !== undefined; folder = this.#pending.pop())
      await this.#visit(folder);
    return this.#found;
  }

  async #visit(folder: string): Promise<void> {
    const entries = await readFolder(join(this.#root, folder)).catch((thrown: unknown) => {
      // Of the folder itself the caller hears at once.
      if (folder === '') throw thrown;
      this.#block(folder, 'inspection_failed', `The folder cannot be read: ${codeOf(thrown)}.`);
      return [];
    });
    const next = this.#pending.length;
    for (const entry of entries) {
      const prefix = folder === '' ? '' : `${folder}/`;
      if (!isUtf8(entry.name)) {
        this.#block(prefix + entry.name.toString('latin1'), 'entry_not_scanned', 'The name is not UTF-8.');
      } else {
        await this.#add(prefix + entry.name.toString('utf8'), entry);
      }
    }
    // The last one in is the next to be visited.
    for (const below of this.#pending.splice(next).toReversed()) this.#pending.push(below);
  }

  async #add(name: string, entry: Dirent<Buffer>): Promise<void> {
    const path = join(this.#root, name);
    if (entry.isDirectory()) this.#pending.push(name);
    else if (entry.isSymbolicLink()) await this.#follow(name, path);
    else if (!entry.isFile()) this.#block(name, 'entry_not_scanned', 'It is a pipe, a socket or a device.');
    else await this.#measure(name, path);
  }

  async #follow(name: string, path: string): Promise<void> {
    const target = await realpath(path).catch(() => null);
    const found = target === null ? null : await lstat(target).catch(() => null);
    if (target === null || found === null) {
      return this.#block(name, 'entry_not_scanned', 'The link leads nowhere, or in a circle.');
    }
    const isInside = this.#roots.some((root) => target === root || isBelow(root, target));
    // What it holds is scanned where it lies; following would only find it twice, or go in circles.
    if (isInside && found.isDirectory()) return;
    // By its real name: a link that is turned elsewhere after this leads nobody there.
    if (found.isFile() && (isInside || isBlobOf(path, target))) {
      this.#found.push({ name, size: found.size, real: target });
    } else this.#block(name, 'entry_not_scanned', 'The link leads out of the scanned folders.');
  }

  async #measure(name: string, path: string): Promise<void> {
    try {
      const { size } = await lstat(path);
      this.#found.push({ name, size, real: path });
    } catch (thrown) {
      this.#block(name, 'inspection_failed', `The file cannot be read: ${codeOf(thrown)}.`);
    }
  }

  #block(name: string, code: 'entry_not_scanned' | 'inspection_failed', message: string): void {
    this.#found.push({ name, size: 0, obstacle: makeFinding(code, message) });
  }
}

/** By name; names that are no text are kept as bytes. */
async function readFolder(path: string): Promise<readonly Dirent<Buffer>[]> {
  const entries = await readdir(path, { withFileTypes: true, encoding: 'buffer' });
  return entries.toSorted((a, b) => Buffer.compare(a.name, b.name));
}

const isBelow = (folder: string, path: string): boolean =>
  path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

/** `X/snapshots/<revision>/name` may link to `X/blobs/<hash>`: how the Hugging Face hub lays out its cache. */
function isBlobOf(path: string, target: string): boolean {
  const repository = dirname(dirname(target));
  return dirname(target) === join(repository, 'blobs') && isBelow(join(repository, 'snapshots'), path);
}

function sizesOf(entries: readonly Entry[]): ReadonlyMap<string, number> {
  return new Map(entries.filter(({ obstacle }) => obstacle === undefined).map(({ name, size }) => [name, size]));
}

/** Files in the folder of one that was given by itself, the targets of links among them. */
async function sizesBeside(path: string): Promise<ReadonlyMap<string, number>> {
  const folder = dirname(path);
  const sizes = new Map<string, number>();
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const found = entry.isDirectory() ? null : await stat(join(folder, entry.name)).catch(() => null);
    if (found?.isFile()) sizes.set(entry.name, found.size);
  }
  return sizes;
}

const codeOf = (thrown: unknown): string => (thrown as NodeJS.ErrnoException).code ?? String(thrown);

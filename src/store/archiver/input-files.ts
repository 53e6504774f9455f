// Finds the files that go into an archive: single files by path, extra files by list, wildcard and directory.
import { glob, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { isLitter } from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';

export interface InputFile {
  /** In the archive. */
  readonly name: string;
  /** Absolute path; empty for a file that only exists as `content`. */
  readonly source: string;
  readonly content?: Buffer;
  readonly size: number;
  readonly modifiedMs: number;
}

/** A file named by a flag; it lands in the archive's root under its base name. */
export async function requiredFile(path: string, what: string): Promise<InputFile> {
  const found = await stat(path).catch(() => null);
  if (found?.isFile() !== true) throw new Fault('usage', `${what}: no such file: ${path}`);
  return { name: basename(path), source: resolve(path), size: found.size, modifiedMs: found.mtimeMs };
}

/** The list of `--extra-files`: commas between entries, wildcards allowed, a directory stands for its content. */
export async function collectExtraFiles(list: string): Promise<readonly InputFile[]> {
  const files: InputFile[] = [];
  for (const entry of list.split(',').map((text) => text.trim())) {
    if (entry === '') continue;
    const paths = await expand(entry);
    if (paths.length === 0) throw new Fault('usage', `extra-files: no such file: ${entry}`);
    for (const path of paths) {
      if ((await stat(path)).isDirectory()) files.push(...(await walk(path, '')));
      else files.push(await requiredFile(path, 'extra-files'));
    }
  }
  return files;
}

async function expand(entry: string): Promise<readonly string[]> {
  if ((await stat(entry).catch(() => null)) !== null) return [entry];
  return /[*?[\]{}]/.test(entry) ? (await Array.fromAsync(glob(entry))).toSorted() : [];
}

/** Sub-directories keep their place below the directory that was named. */
async function walk(root: string, prefix: string): Promise<readonly InputFile[]> {
  const files: InputFile[] = [];
  for (const entry of await readdir(join(root, prefix), { withFileTypes: true })) {
    const name = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    const found = await stat(join(root, name));
    if (found.isDirectory()) {
      if (entry.isSymbolicLink()) throw new Fault('usage', `extra-files: ${join(root, name)} links to a directory`);
      if (!isLitter(entry.name)) files.push(...(await walk(root, name)));
    } else files.push({ ...(await requiredFile(join(root, name), 'extra-files')), name });
  }
  return files;
}

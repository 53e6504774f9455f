// What lies on the disk, for comparing before with after.
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Every file and folder below `roots` with its size, one a line, but for paths that match `ignored`. */
export async function diskTree(roots: readonly string[], ignored: RegExp): Promise<string> {
  const lines = (await Promise.all(roots.map(tree))).flat();
  return lines.filter((line) => !ignored.test(line)).join('\n');
}

async function tree(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  const lines = names.map(async (name) => {
    const found = await lstat(join(root, name)).catch(() => null);
    return found === null ? '' : `${join(root, name)} ${found.isDirectory() ? 'directory' : found.size}`;
  });
  return (await Promise.all(lines)).filter((line) => line !== '').toSorted();
}

/** Everything that was written down below `root`. */
export async function contentsOf(root: string): Promise<string> {
  const names = await readdir(root, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, 'latin1').catch(() => '')))).join('\n');
}

// From a model reference to an open file or a directory inside a model store (surface spec 8.6, hardened).
//
// TorchServe also took any absolute directory and anything below its working directory. Here a reference can only mean
// something that really lies inside a model store, after every symbolic link is followed.
import type { Stats } from 'node:fs';
import { realpath, stat, type FileHandle } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { fileNameOf } from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { openedPath, openRegular } from './open-file.ts';

export type LocalSource =
  | { readonly kind: 'file'; readonly handle: FileHandle; readonly name: string }
  | { readonly kind: 'directory'; readonly path: string };

/** `reference` is attacker text; `roots` are real paths of the model stores. The caller closes the file. */
export async function resolveLocal(reference: string, roots: readonly string[]): Promise<LocalSource> {
  if (roots.length === 0) throw new Fault('model_not_found', 'Model store has not been configured.');
  const absent = new Fault('model_not_found', `Model not found at: ${reference}`);
  if (reference.includes('\0')) throw absent;
  for (const candidate of candidates(reference, roots)) {
    const path = await realpath(candidate).catch(() => null);
    if (path === null) continue;
    // The store itself is no model, and a link that leads out of it is no way in.
    if (!roots.some((root) => isInside(path, root))) {
      if (roots.includes(path)) continue;
      throw new Fault('source_not_allowed', absent.message, { cause: `${candidate} lies outside the model store` });
    }
    const found = await stat(path).catch(() => null);
    const source = found === null ? null : await open(path, found, roots, reference);
    if (source !== null) return source;
  }
  throw absent;
}

export const isInside = (path: string, root: string): boolean =>
  path.startsWith(root.endsWith(sep) ? root : root + sep);

/** The name as written; then, as TorchServe does, its last component. */
function candidates(reference: string, roots: readonly string[]): readonly string[] {
  const base = fileNameOf(reference);
  const byName = base === '' ? [] : roots.map((root) => join(root, base));
  if (!isAbsolute(reference)) return [...roots.map((root) => join(root, reference)), ...byName];
  // Outside the stores nothing is even looked at, so that answers do not tell what exists.
  return roots.some((root) => isInside(reference, root)) ? [reference, ...byName] : byName;
}

async function open(
  path: string,
  found: Stats,
  roots: readonly string[],
  reference: string,
): Promise<LocalSource | null> {
  if (found.isDirectory()) return { kind: 'directory', path };
  if (!found.isFile()) return null;
  const handle = await openRegular(path).catch(() => null);
  if (handle === null) return null;
  const opened = await openedPath(handle, path);
  if (roots.some((root) => isInside(opened, root))) return { kind: 'file', handle, name: fileNameOf(reference) };
  await handle.close();
  throw new Fault('source_not_allowed', `Model not found at: ${reference}`, {
    cause: `${path} moved while it was opened`,
  });
}

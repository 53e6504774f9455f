// Node's cache of compiled modules, in a folder that nobody else can write to: whoever could, would choose what a server runs.
import { lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

const WRITABLE_BY_OTHERS = 0o022;

/** Halves the work of a start. Best effort: without a home that is ours, modules are compiled anew. */
export function useCompileCache() {
  const { NODE_DISABLE_COMPILE_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  if (NODE_DISABLE_COMPILE_CACHE) return;
  try {
    const base = XDG_CACHE_HOME?.startsWith('/') ? XDG_CACHE_HOME : join(HOME || homedir(), '.cache');
    const folders = [base, join(base, 'davy'), join(base, 'davy', 'compiled')];
    mkdirSync(folders.at(-1), { recursive: true, mode: 0o700 });
    if (folders.every(isOurs)) enableCompileCache(folders.at(-1));
  } catch {
    // No home, a read-only one, or somebody else's.
  }
}

function isOurs(folder) {
  const { uid, mode } = lstatSync(folder);
  return uid === process.getuid?.() && (mode & WRITABLE_BY_OTHERS) === 0;
}

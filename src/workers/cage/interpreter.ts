// Which files an interpreter needs to run: the places where it and its libraries live.
import { readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';

/** Turns a command name into an absolute path by the server's PATH; null when there is no such program. */
export function findProgram(name: string, path = process.env['PATH'] ?? '/usr/bin:/bin'): string | null {
  if (name.includes('/')) return isExecutable(resolve(name)) ? resolve(name) : null;
  for (const directory of path.split(delimiter)) {
    if (isAbsolute(directory) && isExecutable(join(directory, name))) return join(directory, name);
  }
  return null;
}

/** Prefixes of a program: for Python its virtual environment and the installation under it, else the program's folder. */
export function programPrefixes(program: string): string[] {
  const prefixes = new Set<string>();
  let link = program;
  // Every hop of the symbolic link must exist inside, not only the last one.
  for (let hops = 0; hops < MAX_LINKS; hops++) {
    addPrefix(prefixes, link);
    const target = linkTarget(link);
    if (target === null) break;
    link = target;
  }
  addPrefix(prefixes, realpathSync(program));
  return [...prefixes].filter((prefix) => prefix !== '/usr' && !prefix.startsWith('/usr/bin'));
}

/** As many as the kernel follows. */
const MAX_LINKS = 40;

function addPrefix(prefixes: Set<string>, program: string): void {
  const bin = dirname(program);
  const prefix = dirname(bin);
  const home = virtualEnvironmentHome(prefix);
  if (home !== null) {
    prefixes.add(prefix);
    prefixes.add(dirname(home));
  } else if (bin.endsWith('/bin') && prefix !== '/') {
    prefixes.add(prefix);
  } else if (bin !== '/bin') {
    prefixes.add(bin);
  }
}

function virtualEnvironmentHome(prefix: string): string | null {
  try {
    return /^home\s*=\s*(.+?)\s*$/m.exec(readFileSync(join(prefix, 'pyvenv.cfg'), 'utf8'))?.[1] ?? null;
  } catch {
    return null;
  }
}

function linkTarget(path: string): string | null {
  try {
    return resolve(dirname(path), readlinkSync(path));
  } catch {
    return null;
  }
}

function isExecutable(path: string): boolean {
  try {
    const stat = statSync(path);
    return stat.isFile() && (stat.mode & 0o111) !== 0;
  } catch {
    return false;
  }
}

// Which files one worker sees beside its model: its interpreter, its packages, its code.
import { existsSync, realpathSync } from 'node:fs';
import { Fault } from '../../kernel/index.ts';
import type { WrapRequest } from './contract.ts';
import { findProgram, programPrefixes } from './interpreter.ts';
import { askPython, narrowPrefix, type PythonHome } from './python-home.ts';

export interface Wanted {
  /** The program to run: the interpreter itself, not a version manager's shim. */
  readonly program: string;
  /** Existing folders and files outside /usr, none inside another, parents before children. */
  readonly paths: readonly string[];
  /** Those inside /usr: folders that must not be hidden. */
  readonly insideUsr: readonly string[];
}

/** Asks each Python once: the answer costs an interpreter start. */
export class WantedPaths {
  readonly #pythons = new Map<string, Promise<PythonHome>>();

  async of(request: WrapRequest): Promise<Wanted> {
    const found = findProgram(request.file);
    if (found === null) {
      const remedy = 'Install it, or name another one: python=PATH in config.properties, or --python PATH.';
      throw new Fault('worker_start_failed', `The interpreter ${request.file} is not installed. ${remedy}`);
    }
    if (request.runtime !== 'python') {
      const prefixes = programPrefixes(found).flatMap(narrowPrefix);
      return { program: found, ...sorted([found, ...prefixes, ...request.readOnlyPaths]) };
    }
    const home = await this.#ask(found);
    return {
      program: home.executable,
      ...sorted([home.executable, ...home.paths, ...request.readOnlyPaths]),
    };
  }

  #ask(program: string): Promise<PythonHome> {
    const known = this.#pythons.get(program);
    if (known !== undefined) return known;
    const asked = askPython(program);
    this.#pythons.set(program, asked);
    asked.catch(() => this.#pythons.delete(program));
    return asked;
  }
}

function sorted(paths: readonly string[]): Pick<Wanted, 'paths' | 'insideUsr'> {
  return { paths: outermost(paths), insideUsr: paths.filter((path) => isInside(path, '/usr')) };
}

/** Drops what does not exist, what /usr holds already, and what lies inside another of the paths. */
export function outermost(paths: readonly string[], exists: (path: string) => boolean = existsSync): string[] {
  const kept: string[] = [];
  for (const path of new Set(paths.toSorted())) {
    if (!exists(path) || path === '/usr' || isInside(path, '/usr')) continue;
    if (!kept.some((above) => isInside(path, above))) kept.push(path);
  }
  return kept;
}

/** The same paths with every symbolic link resolved beside them: what the worker's uid must be able to walk. */
export function withTargets(paths: readonly string[]): string[] {
  return [...new Set(paths.flatMap((path) => [path, realpathSync(path)]))];
}

function isInside(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`);
}

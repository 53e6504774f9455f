// Names inside containers. The archive's author controls every byte; a name that passes here can be joined to a directory.
import type { ContainerLimits } from './limits.ts';
import { quote, refuse } from './refusal.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text of a name's bytes, or a refusal when they are not UTF-8. */
export function decodeName(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw refuse('a member name is not valid UTF-8', cause);
  }
}

// Controls; zero-width and direction marks (look-alikes); backslash and colon, which are separators elsewhere.
const FORBIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\\:\ufffd]/u;

/** Refuses rather than repairs: a repaired name is a different name to the next reader. No trailing slash here. */
export function checkMemberName(name: string, limits: ContainerLimits): void {
  const no = (why: string) => refuse(`member name ${quote(name)} ${why}`);
  if (name === '') throw no('is empty');
  if (Buffer.byteLength(name) > limits.maxNameBytes) throw no('is too long');
  if (name.startsWith('/')) throw no('is absolute');
  if (FORBIDDEN.test(name) || !name.isWellFormed()) throw no('has a forbidden character');
  const segments = name.split('/');
  if (segments.length > limits.maxDepth) throw no('is nested too deeply');
  for (const segment of segments) {
    if (segment === '') throw no('has an empty segment');
    if (segment === '.' || segment === '..') throw no('has a relative segment');
    if (/[. ]$/.test(segment) || segment.startsWith(' ')) throw no('has a segment with blanks or dots at its edge');
    if (Buffer.byteLength(segment) > limits.maxSegmentBytes) throw no('has a segment that is too long');
  }
}

/** Two names that some file system or some other reader would take for one have the same key. */
function collisionKey(name: string): string {
  return name.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
}

/** The names of one archive: unique under folding, and none both a file and a directory. */
export class NameLedger {
  readonly #files = new Set<string>();
  /** Key to spelling, so that `A/x` and `a/y` are seen as two spellings of one directory. */
  readonly #directories = new Map<string, string>();
  readonly #declared = new Set<string>();

  addFile(name: string): void {
    const key = collisionKey(name);
    if (this.#files.has(key)) throw refuse(`two members are named ${quote(name)}`);
    if (this.#directories.has(key)) throw refuse(`${quote(name)} is both a file and a directory`);
    this.#addAncestors(name);
    this.#files.add(key);
  }

  addDirectory(name: string): void {
    const key = collisionKey(name);
    if (this.#declared.has(key)) throw refuse(`two members are named ${quote(name)}`);
    this.#declared.add(key);
    this.#addAncestors(`${name}/`);
  }

  #addAncestors(name: string): void {
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
      const directory = name.slice(0, at);
      const key = collisionKey(directory);
      if (this.#files.has(key)) throw refuse(`${quote(directory)} is both a file and a directory`);
      const spelling = this.#directories.get(key);
      if (spelling !== undefined && spelling !== directory) {
        throw refuse(`directories ${quote(spelling)} and ${quote(directory)} differ only in case or form`);
      }
      this.#directories.set(key, directory);
    }
  }
}

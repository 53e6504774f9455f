// A model's requirements file, as far as it is accepted: packages pinned by version and by hash, and nothing else.
// Whoever made the archive controls every character; options of pip (other indexes, paths, editable installs) are refused.
import { invalidModel, quote } from './refusal.ts';

export interface PinnedRequirement {
  /** Normalised as in PEP 503: lower case, `-` between words. */
  readonly name: string;
  readonly version: string;
  /** An environment marker (PEP 508), for a Python to judge. */
  readonly marker: string | undefined;
  /** Lower-case hex sha256 of each file that may be installed. */
  readonly hashes: readonly string[];
}

export const MAX_REQUIREMENTS_BYTES = 1024 * 1024;
/** More than any lock file of a model has. */
const MAX_REQUIREMENTS = 512;
/** A line with a hundred hashes is a tenth of this. */
const MAX_LINE_CHARS = 128 * 1024;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;
const EXTRAS = /^[A-Za-z0-9._, -]*\]$/;
const VERSION = /^[A-Za-z0-9][A-Za-z0-9.+!_-]*$/;
const HASH = /^--hash=sha256:([0-9a-fA-F]{64})$/;

/** Throws `invalid_model` naming the first line that is not `name==version --hash=sha256:…`. */
export function parseRequirements(text: string): readonly PinnedRequirement[] {
  const lines = logicalLines(text);
  if (lines.length > MAX_REQUIREMENTS) throw invalidModel(`More than ${MAX_REQUIREMENTS} requirements.`);
  const found = new Map<string, PinnedRequirement>();
  for (const line of lines) {
    const requirement = line.length > MAX_LINE_CHARS ? undefined : parseLine(line);
    if (requirement === undefined) {
      throw invalidModel(`Requirement ${quote(line)} is not of the form name==version --hash=sha256:…`);
    }
    const { name, marker } = requirement;
    const key = `${name};${marker ?? ''}`;
    if (found.has(key)) throw invalidModel(`Requirement ${quote(name)} is there twice.`);
    found.set(key, requirement);
  }
  return [...found.values()];
}

/** Cut at fixed words rather than matched as a whole: time grows with the line, whatever is in it. */
function parseLine(line: string): PinnedRequirement | undefined {
  const [requirement = '', ...hashWords] = line.split(/\s(?=--)/);
  const semicolon = requirement.indexOf(';');
  const pin = semicolon < 0 ? requirement : requirement.slice(0, semicolon);
  const marker = semicolon < 0 ? '' : requirement.slice(semicolon + 1).trim();
  const [project = '', version = '', ...more] = pin.split('==').map((part) => part.trim());
  const [name = '', extras, ...rest] = project.split('[');
  const hashes = hashWords.map((word) => HASH.exec(word.trim())?.[1]?.toLowerCase());
  const isPinned = NAME.test(name) && VERSION.test(version) && more.length + rest.length === 0 && hashes.length > 0;
  if (!isPinned || (extras !== undefined && !EXTRAS.test(extras))) return undefined;
  if (hashes.some((hash) => hash === undefined)) return undefined;
  return { name: normalPackageName(name), version, marker: marker || undefined, hashes: hashes as string[] };
}

export const normalPackageName = (name: string): string => name.toLowerCase().replace(/[-_.]+/g, '-');

/** Without comments, with continued lines joined, as pip reads them. */
function logicalLines(text: string): readonly string[] {
  return text
    .replace(/^\uFEFF/, '')
    .replace(/\r\n?/g, '\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}

// Names of wheels (PEP 427): what they hold and where they run.
import { normalPackageName, type PinnedRequirement } from './requirements.ts';

export interface WheelName {
  readonly project: string;
  readonly version: string;
  /** `python-abi-platform`, one for each combination that the name stands for. */
  readonly tags: readonly string[];
}

const WHEEL = /^([A-Za-z0-9._]+)-([A-Za-z0-9.!+_]+)(?:-(\d[^-]*))?-([\w.]+)-([\w.]+)-([\w.]+)\.whl$/;
/** A name may stand for many combinations by its dots; no honest one for more. */
const MAX_TAGS = 256;

/** null for whatever is not a wheel. */
export function parseWheelName(fileName: string): WheelName | null {
  const [, project, version, , pythons, abis, platforms] = WHEEL.exec(fileName) ?? [];
  if (project === undefined || version === undefined) return null;
  const tags = pythons!
    .split('.')
    .flatMap((python) =>
      abis!.split('.').flatMap((abi) => platforms!.split('.').map((platform) => `${python}-${abi}-${platform}`)),
    );
  return tags.length > MAX_TAGS ? null : { project: normalPackageName(project), version, tags };
}

/**
 * The file that fits an interpreter best; `tags` are the interpreter's, best first. undefined: none fits. The version counts
 * beside the hash, so that a requirements file installs what it says to whoever reads it.
 */
export function bestWheel<F extends { readonly fileName: string }>(
  files: readonly F[],
  { name, version }: Pick<PinnedRequirement, 'name' | 'version'>,
  tags: ReadonlyMap<string, number>,
): F | undefined {
  const ranked = files.flatMap((file) => {
    const wheel = parseWheelName(file.fileName);
    if (wheel === null || wheel.project !== name || versionKey(wheel.version) !== versionKey(version)) return [];
    const rank = Math.min(...wheel.tags.map((tag) => tags.get(tag) ?? Infinity));
    return rank === Infinity ? [] : [{ file, rank }];
  });
  return ranked.toSorted((a, b) => a.rank - b.rank)[0]?.file;
}

/** One spelling of a version (PEP 440), as far as wheel names and lock files differ: `1.0+CPU`, `1_0.cpu` and `v1+cpu`. */
const versionKey = (version: string): string =>
  version
    .toLowerCase()
    .replace(/^v/, '')
    .split(/[-_.+]/)
    .filter(
      (part, index, all) => part !== '0' || all.slice(index + 1).some((later) => later !== '0' && /^\d/.test(later)),
    )
    .join('.');

/** Where a member of a wheel belongs in a folder of packages; null: nowhere (scripts, headers, data). */
export function installedName(member: string): string | null {
  const [, scheme, rest] = /^[^/]+\.data\/([^/]+)\/(.+)$/.exec(member) ?? [];
  if (scheme === undefined) return /^[^/]+\.data\//.test(member) ? null : member;
  return scheme === 'purelib' || scheme === 'platlib' ? rest! : null;
}

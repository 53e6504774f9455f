// The versions of one model and which of them answers when no version is named. Immutable.
import { Fault } from '../kernel/index.ts';

export interface VersionSet<T> {
  readonly defaultVersion: string;
  readonly versions: ReadonlyMap<string, T>;
}

/** The first registered version becomes the default; later ones do not change it (surface spec 3.5). */
export function addVersion<T>(set: VersionSet<T> | undefined, name: string, version: string, value: T): VersionSet<T> {
  if (set?.versions.has(version)) {
    throw new Fault('version_conflict', `Model version ${version} is already registered for model ${name}`);
  }
  return {
    defaultVersion: set?.defaultVersion ?? version,
    versions: new Map([...(set?.versions ?? []), [version, value]]),
  };
}

/** Undefined when the last version is gone. The default can only be removed as the last one (surface spec 3.6). */
export function removeVersion<T>(set: VersionSet<T>, name: string, version: string): VersionSet<T> | undefined {
  if (set.versions.size > 1 && set.defaultVersion === version) {
    throw new Fault('default_version_removal', `Cannot remove default version for model ${name}`);
  }
  const versions = new Map(set.versions);
  versions.delete(version);
  return versions.size === 0 ? undefined : { ...set, versions };
}

export function withDefault<T>(set: VersionSet<T>, name: string, version: string): VersionSet<T> {
  if (!set.versions.has(version)) {
    throw new Fault('model_version_not_found', `Model version ${version} does not exist for model ${name}`);
  }
  return { ...set, defaultVersion: version };
}

/** The value of a version, or of the default version. */
export function selectVersion<T>(set: VersionSet<T> | undefined, name: string, version: string | undefined): T {
  if (set === undefined) throw new Fault('model_not_found', `Model not found: ${name}`);
  const value = set.versions.get(version ?? set.defaultVersion);
  if (value === undefined) {
    throw new Fault('model_version_not_found', `Model version: ${version} does not exist for model: ${name}`);
  }
  return value;
}

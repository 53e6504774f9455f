// Which models are registered: by name and version, with the default version of each name.
import { addVersion, removeVersion, selectVersion, withDefault, type VersionSet } from '../model/index.ts';
import { Fault } from '../kernel/index.ts';
import type { ModelListing } from './management.ts';
import type { ModelRecord } from './model-record.ts';

const MAX_PAGE = 100;

export class Catalog {
  readonly #models = new Map<string, VersionSet<ModelRecord>>();

  /** Throws `version_conflict`. */
  add(record: ModelRecord): void {
    this.#models.set(record.name, addVersion(this.#models.get(record.name), record.name, record.version, record));
  }

  has(name: string, version: string): boolean {
    return this.#models.get(name)?.versions.has(version) ?? false;
  }

  /** Whether this very registration stands; another one may have taken its name and version. */
  holds(record: ModelRecord): boolean {
    return this.#models.get(record.name)?.versions.get(record.version) === record;
  }

  /** Throws `default_version_removal`; call before anything is torn down. */
  remove(record: ModelRecord): void {
    const rest = removeVersion(this.#set(record.name), record.name, record.version);
    if (rest === undefined) this.#models.delete(record.name);
    else this.#models.set(record.name, rest);
  }

  setDefault(name: string, version: string): void {
    this.#models.set(name, withDefault(this.#set(name), name, version));
  }

  /** Throws `model_not_found` or `model_version_not_found`. */
  find(name: string, version: string | undefined): ModelRecord {
    return selectVersion(this.#models.get(name), name, version);
  }

  versionsOf(name: string): readonly ModelRecord[] {
    return [...this.#set(name).versions.values()];
  }

  isDefault({ name, version }: ModelRecord): boolean {
    return this.#models.get(name)?.defaultVersion === version;
  }

  /** The default version of every model, in code-point order of the names. */
  get defaults(): readonly ModelRecord[] {
    const names = [...this.#models.keys()].toSorted((a, b) => (a < b ? -1 : 1));
    return names.map((name) => this.find(name, undefined));
  }

  get all(): readonly ModelRecord[] {
    return [...this.#models.values()].flatMap(({ versions }) => [...versions.values()]);
  }

  /** Surface spec 3.4, with its paging rules: the token is an index, and one is given even when the page ends the list. */
  list(limit: number, pageToken: number): ModelListing {
    const size = limit < 0 || limit > MAX_PAGE ? MAX_PAGE : limit;
    const from = Math.max(0, pageToken);
    const all = this.defaults;
    return {
      ...(from + size <= all.length ? { nextPageToken: String(from + size) } : {}),
      models: all.slice(from, from + size).map(({ name, admitted }) => ({ modelName: name, modelUrl: admitted.url })),
    };
  }

  #set(name: string): VersionSet<ModelRecord> {
    const set = this.#models.get(name);
    if (set === undefined) throw new Fault('model_not_found', `Model not found: ${name}`);
    return set;
  }
}

// Published models by digest, with a count of who uses them. The last one to leave removes the files.
import { join } from 'node:path';
import { refuse, quote, type ArchiveDescription, type Inspection } from '../../archive/index.ts';
import type { Finding, Severity } from '../../kernel/index.ts';
import type { AdmissionThreads } from '../admission-thread/admission-threads.ts';
import { privateDirectory, removeTree } from './private-directory.ts';
import type { Quarantine, StoredFile } from './quarantine.ts';

/** Looks at the content of one model before it is published. Throwing refuses the model too: fail closed. */
export type ModelInspector = (files: readonly StoredFile[], signal: AbortSignal) => Promise<Inspection>;

/** A model on disk: unpacked, vetted, read-only. */
export interface Published {
  readonly digest: string;
  readonly dir: string;
  readonly bytes: number;
  readonly files: readonly string[];
  readonly description: ArchiveDescription;
  readonly findings: readonly Finding[];
}

export class Shelf {
  readonly #root: string;
  readonly #inspect: ModelInspector;
  readonly #threads: AdmissionThreads;
  readonly #held = new Map<string, { readonly published: Published; users: number }>();

  private constructor(root: string, inspect: ModelInspector, threads: AdmissionThreads) {
    this.#root = root;
    this.#inspect = inspect;
    this.#threads = threads;
  }

  /** `root` belongs to this server alone; what an earlier one left there was vetted by nobody alive and is removed. */
  static async open(root: string, inspect: ModelInspector, threads: AdmissionThreads): Promise<Shelf> {
    await removeTree(root);
    await privateDirectory(root);
    return new Shelf(root, inspect, threads);
  }

  /** Takes a model that is already here. */
  share(digest: string): Published | null {
    const held = this.#held.get(digest);
    if (held === undefined) return null;
    held.users += 1;
    return held.published;
  }

  /** Vets what lies in quarantine and publishes it. The caller holds the turn of `digest`. */
  async put(digest: string, quarantine: Quarantine, signal: AbortSignal): Promise<Published> {
    const stored = quarantine.files.map(({ name, path, size }) => ({ name, path, size }));
    const description = await this.#threads.run({ kind: 'describe', files: stored }, signal);
    const { isAllowed, findings } = await this.#inspect(quarantine.files, signal);
    if (!isAllowed) throw refuse(reason(findings), { findings });
    signal.throwIfAborted();
    const dir = join(this.#root, digest);
    await quarantine.publish(dir);
    const files = quarantine.names.toSorted();
    const bytes = stored.reduce((sum, { size }) => sum + size, 0);
    const published = { digest, dir, bytes, files, description, findings };
    this.#held.set(digest, { published, users: 1 });
    return published;
  }

  /** The caller holds the turn of `digest`. */
  async leave(digest: string): Promise<void> {
    const held = this.#held.get(digest);
    if (held === undefined) return;
    held.users -= 1;
    if (held.users > 0) return;
    this.#held.delete(digest);
    await removeTree(held.published.dir);
  }
}

const SEVERITIES: readonly Severity[] = ['critical', 'high', 'medium', 'low', 'info'];

/** The worst finding and its remedy; all of them travel in the Fault's cause. */
function reason(findings: readonly Finding[]): string {
  const weight = ({ severity }: Finding): number => SEVERITIES.indexOf(severity);
  const [worst, ...others] = findings.toSorted((a, b) => weight(a) - weight(b));
  if (worst === undefined) return 'its content was not accepted';
  const count = others.filter((finding) => weight(finding) <= weight(worst)).length;
  const more = count > 0 ? ` (and ${count} more like it)` : '';
  const sentence = `${quote(worst.member)}: ${worst.code}: ${worst.message.replace(/\.$/, '')}${more}`;
  return `${sentence}. ${worst.remedy.replace(/\.$/, '')}`;
}

// Python packages of models: wheels from the index, checked by hash, unpacked by our own reader into read-only folders
// that are named by their content. Nothing of a package runs before it is inside a worker's cage.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  bestWheel,
  DEFAULT_CONTAINER_LIMITS,
  installedName,
  MAX_REQUIREMENTS_BYTES,
  parseRequirements,
  quote,
  type ContainerLimits,
  type PinnedRequirement,
} from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import type { PackageRequest, PackageProvider } from '../../serving/index.ts';
import type { AdmissionThreads } from '../admission-thread/admission-threads.ts';
import { openRegular } from '../models/open-file.ts';
import { privateDirectory, removeTree } from '../models/private-directory.ts';
import { errorCode } from '../models/published-download.ts';
import { Quarantine } from '../models/quarantine.ts';
import { Turns } from '../models/turns.ts';
import { PackageIndex, type IndexFile, type PackageIndexOptions } from './package-index.ts';

export interface PackageFoldersOptions extends PackageIndexOptions {
  /** Emptied at start. */
  readonly dir: string;
  readonly threads: AdmissionThreads;
  /** What an interpreter can run, best first, and which of the markers hold for it. Judged inside a cage. */
  readonly ask: (
    interpreter: string,
    markers: readonly (string | null)[],
  ) => Promise<{ readonly tags: readonly string[]; readonly applies: readonly boolean[] }>;
}

const GIB = 1024 ** 3;
/** Of all wheels of one model, as downloaded: PyTorch with its CUDA libraries is some 3 GiB. */
const MAX_DOWNLOAD_BYTES = 8 * GIB;
/** PyTorch has fifteen thousand files, some of them deep. */
const LIMITS: ContainerLimits = {
  ...DEFAULT_CONTAINER_LIMITS,
  maxEntries: 100_000,
  maxDepth: 32,
  maxMemberBytes: 4 * GIB,
  maxTotalBytes: 16 * GIB,
};

export class PackageFolders implements PackageProvider {
  readonly #options: PackageFoldersOptions;
  readonly #index: PackageIndex;
  /** By content: models that want the same packages share one folder. */
  readonly #ready = new Map<string, string>();
  readonly #turns = new Turns<string>(Infinity);

  private constructor(options: PackageFoldersOptions) {
    this.#options = options;
    this.#index = new PackageIndex(options);
  }

  static async open(options: PackageFoldersOptions): Promise<PackageFolders> {
    await removeTree(options.dir);
    await privateDirectory(options.dir);
    return new PackageFolders(options);
  }

  async provide({ modelDir, requirementsFile, interpreter }: PackageRequest, signal: AbortSignal): Promise<string> {
    const requirements = await readRequirements(modelDir, requirementsFile);
    const markers = requirements.map(({ marker }) => marker ?? null);
    const { tags, applies } = await this.#options.ask(interpreter, markers);
    const wanted = requirements.filter((_, index) => applies[index] === true);
    const rank = new Map(tags.map((tag, index) => [tag, index]));
    const wheels: IndexFile[] = [];
    for (const requirement of wanted) wheels.push(await this.#choose(requirement, rank, signal));
    const key = createHash('sha256')
      .update(JSON.stringify(wheels.map(({ sha256 }) => sha256).toSorted()))
      .digest('hex');
    return this.#turns.run(key, async () => {
      const known = this.#ready.get(key);
      if (known !== undefined) return known;
      const dir = await this.#build(wheels, key, signal);
      this.#ready.set(key, dir);
      return dir;
    });
  }

  async #choose(
    requirement: PinnedRequirement,
    rank: ReadonlyMap<string, number>,
    signal: AbortSignal,
  ): Promise<IndexFile> {
    const { name, version, hashes } = requirement;
    const files = await this.#index.filesOf(name, signal);
    const pinned = files.filter(({ sha256 }) => hashes.includes(sha256));
    const wheel = bestWheel(pinned, requirement, rank);
    if (wheel !== undefined) return wheel;
    const why =
      pinned.length === 0 ? 'no file of the index has one of its hashes' : 'none of its files is a wheel that fits';
    throw new Fault('model_error', `${name}==${version}: ${why}`);
  }

  async #build(wheels: readonly IndexFile[], key: string, signal: AbortSignal): Promise<string> {
    await using all = await Quarantine.create(this.#options.dir);
    let left = MAX_DOWNLOAD_BYTES;
    for (const wheel of wheels) left -= await this.#install(wheel, all, left, signal);
    const target = join(this.#options.dir, key);
    await all.publish(target);
    return target;
  }

  /** Downloads and unpacks beside the others, then moves every file to where it belongs. The result is the wheel's size. */
  async #install(wheel: IndexFile, all: Quarantine, maxBytes: number, signal: AbortSignal): Promise<number> {
    await using own = await Quarantine.create(this.#options.dir);
    await using handle = (await own.scratch('wheel')).handle;
    const size = await this.#index.fetch(wheel, handle, maxBytes, signal);
    // Its ending says that it is a ZIP.
    const job = { kind: 'unpack', fd: handle.fd, size, fileName: 'wheel.mar', dir: own.dir, limits: LIMITS } as const;
    const { digest, files } = await this.#options.threads.run(job, signal);
    if (digest !== wheel.sha256) throw new Fault('model_error', `${quote(wheel.fileName)} changed while it was read`);
    const adopted = new Map<string, number>();
    const folders = new Set<string>();
    for (const [name, bytes] of files) {
      const installed = installedName(name);
      if (installed === null) continue;
      const to = join(all.dir, 'files', installed);
      for (let folder = dirname(installed); folder !== '.'; folder = dirname(folder)) folders.add(folder);
      try {
        await mkdir(dirname(to), { recursive: true, mode: 0o700 });
        // Two wheels may bring the same file of a shared package: the later one stays, as with pip.
        await rename(join(own.dir, 'files', name), to);
      } catch (cause) {
        if (!CLASHES.has(errorCode(cause))) throw cause;
        const message = `two of its packages bring ${quote(installed)}, one as a file and one as a folder`;
        throw new Fault('model_error', message, { cause });
      }
      adopted.set(installed, bytes);
    }
    all.adopt([...adopted], [...folders]);
    return size;
  }
}

/** A file where a folder is wanted, or the other way round. */
const CLASHES: ReadonlySet<string> = new Set(['EEXIST', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY']);

/** A file of the vetted archive, named by its manifest. */
async function readRequirements(modelDir: string, file: string): Promise<readonly PinnedRequirement[]> {
  await using handle = await openRegular(join(modelDir, file));
  const { size } = await handle.stat();
  if (size > MAX_REQUIREMENTS_BYTES) throw new Fault('invalid_model', `${quote(file)} is too large.`);
  return parseRequirements(await readFile(handle, 'utf8'));
}

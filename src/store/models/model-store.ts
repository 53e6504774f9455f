// The model store: resolve, fetch, quarantine, inspect, publish by digest; and give back (design: "nothing loads unvetted").
import { lstat, readdir, realpath, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  checkMemberName,
  DEFAULT_CONTAINER_LIMITS,
  fallbackModelName,
  refuse,
  type ContainerLimits,
} from '../../archive/index.ts';
import type { S3Settings } from '../../config/index.ts';
import { displayUrl, Fault, FINDINGS } from '../../kernel/index.ts';
import type { AdmitOptions, AdmittedModel, ModelStore } from '../../serving/index.ts';
import { AdmissionThreads } from '../admission-thread/admission-threads.ts';
import { parseAllowedUrls, type AllowedUrls } from '../sources/allowed-urls.ts';
import { DEFAULT_DOWNLOAD_OPTIONS, download, type DownloadOptions } from '../sources/download.ts';
import { remoteFile, type RemoteFile } from '../sources/s3.ts';
import { fingerprint } from './open-file.ts';
import { privateDirectory, removeTree } from './private-directory.ts';
import { errorCode, publishDownload } from './published-download.ts';
import { Quarantine } from './quarantine.ts';
import { isInside, resolveLocal } from './resolve-local.ts';
import { Shelf, type ModelInspector, type Published } from './shelf.ts';
import { Turns } from './turns.ts';

export interface ModelStoreOptions {
  /** Absolute directories; downloads go to the first. */
  readonly modelStores: readonly string[];
  /** A directory for this server alone; `incoming/` and `models/` in it are emptied at start. */
  readonly stateDir: string;
  /** TorchServe's regular expressions; empty: no URL at all. */
  readonly allowedUrls: readonly string[];
  /** Looks into every model before it is published. */
  readonly inspect: ModelInspector;
  /** Shared with the inspector; by default the store has its own. */
  readonly threads?: AdmissionThreads;
  /** Default: Amazon’s hosts, without credentials. */
  readonly s3?: S3Settings;
  readonly limits?: Partial<ContainerLimits>;
  readonly downloads?: Partial<DownloadOptions>;
}

export interface LocalModelStore extends ModelStore {
  /** From now on released models leave their downloaded archives in the store: the server stops, the models stay. */
  beginShutdown(): void;
}

const ANONYMOUS_S3: S3Settings = {
  accessKeyId: undefined,
  secretAccessKey: undefined,
  sessionToken: undefined,
  region: 'us-east-1',
  endpoint: undefined,
};

/** Models between their archive and their admission: each is a copy on the disk, and may be waiting for a scanner. */
const CONCURRENT_ADMISSIONS = 4;
/** Each may hold a connection for an hour; models of the store do not wait for them. */
const CONCURRENT_DOWNLOADS = 8;

/** Throws `invalid_configuration` for a bad `allowed_urls` entry or a state directory that is not ours. */
export async function createModelStore(options: ModelStoreOptions): Promise<LocalModelStore> {
  const allowedUrls = parseAllowedUrls(options.allowedUrls);
  const incoming = join(options.stateDir, 'incoming');
  await privateDirectory(options.stateDir);
  await removeTree(incoming);
  await privateDirectory(incoming);
  const threads = options.threads ?? new AdmissionThreads();
  const shelf = await Shelf.open(join(options.stateDir, 'models'), options.inspect, threads);
  const roots = await Promise.all(options.modelStores.map(realStore));
  return new AdmittingStore(options, allowedUrls, shelf, incoming, roots, threads);
}

interface Lease {
  readonly digest: string;
  /** The archive that this model's registration downloaded into the model store. */
  readonly downloaded: string | null;
}

class AdmittingStore implements LocalModelStore {
  readonly #allowedUrls: AllowedUrls;
  readonly #shelf: Shelf;
  readonly #incoming: string;
  readonly #roots: readonly string[];
  readonly #limits: ContainerLimits;
  readonly #downloads: DownloadOptions;
  readonly #s3: S3Settings;
  readonly #threads: AdmissionThreads;
  readonly #fetching = new Turns<string>(CONCURRENT_DOWNLOADS);
  readonly #taking = new Turns<symbol>(CONCURRENT_ADMISSIONS);
  /** By digest: a model is published and removed by one at a time, without waiting for other models. */
  readonly #turns = new Turns<string>(Infinity);
  readonly #leases = new Map<AdmittedModel, Lease>();
  readonly #downloading = new Set<string>();
  #isStopping = false;

  constructor(
    options: ModelStoreOptions,
    allowedUrls: AllowedUrls,
    shelf: Shelf,
    incoming: string,
    roots: readonly string[],
    threads: AdmissionThreads,
  ) {
    this.#threads = threads;
    this.#allowedUrls = allowedUrls;
    this.#shelf = shelf;
    this.#incoming = incoming;
    this.#roots = roots;
    this.#limits = { ...DEFAULT_CONTAINER_LIMITS, ...options.limits };
    this.#s3 = options.s3 ?? ANONYMOUS_S3;
    this.#downloads = { ...DEFAULT_DOWNLOAD_OPTIONS, ...options.downloads };
  }

  async admit(url: string, signal: AbortSignal, options: AdmitOptions = {}): Promise<AdmittedModel> {
    try {
      return await this.#admit(url, signal, options);
    } catch (thrown) {
      throw asFault(thrown, displayUrl(url), signal);
    }
  }

  async release(model: AdmittedModel): Promise<void> {
    const lease = this.#leases.get(model);
    if (lease === undefined) return;
    this.#leases.delete(model);
    await this.#turns.run(lease.digest, () => this.#shelf.leave(lease.digest));
    if (lease.downloaded !== null && !this.#isStopping) await rm(lease.downloaded, { force: true });
  }

  /** Every non-hidden directory, `*.mar`, `*.model` and `*.tar.gz` of the stores, sorted (surface spec 7.5). */
  async listAll(): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const root of this.#roots) {
      for (const { name } of await readdir(root, { withFileTypes: true })) {
        if (name.startsWith('.')) continue;
        const found = await stat(join(root, name)).catch(() => null);
        if (found?.isDirectory() || (found?.isFile() && /\.(mar|model|tar\.gz)$/.test(name))) names.add(name);
      }
    }
    return [...names].toSorted();
  }

  beginShutdown(): void {
    this.#isStopping = true;
  }

  async #admit(url: string, signal: AbortSignal, options: AdmitOptions): Promise<AdmittedModel> {
    if (url === '') throw new Fault('model_not_found', 'empty url');
    const shown = displayUrl(url);
    if (url.includes('..')) throw new Fault('source_not_allowed', `Relative path is not allowed in url: ${shown}`);
    if (!/^[a-z][a-z0-9+.-]*:/i.test(url)) return await this.#admitLocal(url, url, signal);
    const allowed = this.#allowedUrls.match(url);
    if (allowed === null) {
      if (this.#allowedUrls.matchesMalformed(url)) throw downloadFailed(shown);
      throw new Fault('source_not_allowed', `Given URL ${shown} does not match any allowed URL(s)`);
    }
    if (allowed.url.protocol === 'file:')
      return await this.#admitLocal(this.#pathOf(allowed.url, shown), shown, signal);
    const remote = await remoteFile(allowed, this.#s3, options.asksForSigning === true);
    return await this.#admitRemote(remote, shown, signal);
  }

  /** A `file:` URL names a file of a model store, and is served from there without a copy. */
  #pathOf(url: URL, shown: string): string {
    const path = fileURLToPath(url);
    if (this.#roots.some((root) => isInside(path, root))) return path;
    throw new Fault('source_not_allowed', `Model not found at: ${shown}`, { cause: 'outside the model store' });
  }

  async #admitLocal(reference: string, url: string, signal: AbortSignal): Promise<AdmittedModel> {
    const source = await resolveLocal(reference, this.#roots);
    if (source.kind === 'file') {
      await using handle = source.handle;
      return this.#lease(await this.#takeFile(handle, source.name, signal), url, null);
    }
    return this.#lease(await this.#takeDirectory(source.path, signal), url, null);
  }

  async #admitRemote(remote: RemoteFile, shown: string, signal: AbortSignal): Promise<AdmittedModel> {
    const [store] = this.#roots;
    if (store === undefined) throw new Fault('model_not_found', 'Model store has not been configured.');
    const name = downloadName(remote.url, shown, this.#limits);
    await this.#refuseExisting(name);
    this.#downloading.add(name);
    try {
      await using quarantine = await Quarantine.create(this.#incoming);
      const { handle, path } = await quarantine.scratch('download');
      await using file = handle;
      await this.#fetching.run(name, () => download(remote, shown, file, this.#downloads, signal));
      const published = await this.#takeFile(file, name, signal);
      return await this.#keep(published, path, join(store, name), shown);
    } finally {
      this.#downloading.delete(name);
    }
  }

  /** TorchServe's rule, before any traffic: a name that is taken is never fetched again, nor replaced. */
  async #refuseExisting(name: string): Promise<void> {
    const found = await Promise.all(this.#roots.map((root) => lstat(join(root, name)).catch(() => null)));
    if (this.#downloading.has(name) || found.some((stats) => stats !== null)) {
      throw new Fault('file_exists', `Model file already exists ${name}`);
    }
  }

  async #keep(published: Published, path: string, target: string, url: string): Promise<AdmittedModel> {
    try {
      if (await publishDownload(path, target)) return this.#lease(published, url, target);
      return this.#lease(published, url, null, ['The model store is read-only: the downloaded archive was not kept.']);
    } catch (thrown) {
      await this.#turns.run(published.digest, () => this.#shelf.leave(published.digest));
      throw thrown;
    }
  }

  /** One descriptor and one pass: the bytes that are hashed are the bytes that are unpacked. */
  async #takeFile(handle: FileHandle, name: string, signal: AbortSignal): Promise<Published> {
    return await this.#taking.run(Symbol('file'), async () => {
      const before = await fingerprint(handle);
      const { size } = await handle.stat();
      if (size > this.#limits.maxTotalBytes) throw refuse('it is too large');
      await using quarantine = await Quarantine.create(this.#incoming);
      const target = { dir: quarantine.dir, limits: this.#limits };
      const job = { kind: 'unpack', fd: handle.fd, size, fileName: name, ...target } as const;
      const { digest, files, directories } = await this.#threads.run(job, signal).catch(withRemedy);
      if ((await fingerprint(handle)) !== before) throw refuse('it was changed while it was read');
      quarantine.adopt(files, directories);
      return await this.#publish(digest, quarantine, signal);
    });
  }

  async #takeDirectory(path: string, signal: AbortSignal): Promise<Published> {
    return await this.#taking.run(Symbol('directory'), async () => {
      await using quarantine = await Quarantine.create(this.#incoming);
      const job = { kind: 'copy', path, dir: quarantine.dir, limits: this.#limits } as const;
      const { digest, files, directories } = await this.#threads.run(job, signal);
      quarantine.adopt(files, directories);
      return await this.#publish(digest, quarantine, signal);
    });
  }

  /** A model that is here already is shared, and the new copy goes with its quarantine. */
  #publish(digest: string, quarantine: Quarantine, signal: AbortSignal): Promise<Published> {
    return this.#turns.run(
      digest,
      async () => this.#shelf.share(digest) ?? (await this.#shelf.put(digest, quarantine, signal)),
    );
  }

  #lease(
    published: Published,
    url: string,
    downloaded: string | null,
    warnings: readonly string[] = [],
  ): AdmittedModel {
    const { digest, dir, bytes, files, description, findings } = published;
    const { manifest, config, rawConfig } = description;
    const model: AdmittedModel = {
      url,
      location: locationOf(url, downloaded),
      digest,
      dir,
      bytes,
      files,
      manifest: manifest.raw,
      modelName: manifest.modelName,
      modelVersion: manifest.modelVersion,
      runtime: manifest.runtime,
      runtimeLabel: manifest.runtimeLabel,
      handler: manifest.handler,
      config: rawConfig,
      wishes: config,
      fallbackName: fallbackModelName(url),
      findings,
      configWarnings: description.configWarnings,
      warnings: [
        ...warnings,
        ...description.warnings,
        ...findings.filter(({ severity }) => severity !== 'info').map((f) => `${f.member}: ${f.code}: ${f.message}`),
      ],
    };
    this.#leases.set(model, { digest, downloaded });
    return model;
  }
}

async function realStore(path: string): Promise<string> {
  const real = await realpath(path).catch(() => null);
  if (real !== null && (await stat(real)).isDirectory()) return real;
  throw new Fault('invalid_configuration', `Model store ${path} is not a directory.`);
}

/** The last path component names the file in the store; a URL that has no plain one cannot be downloaded. */
function downloadName(url: URL, shown: string, limits: ContainerLimits): string {
  const name = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
  try {
    checkMemberName(name, limits);
  } catch (cause) {
    throw downloadFailed(shown, cause);
  }
  if (name.startsWith('.')) throw downloadFailed(shown);
  return name;
}

/** A download that was kept is a file of the store from now on, and a `file:` URL has always named one. */
function locationOf(url: string, downloaded: string | null): string {
  if (downloaded !== null) return basename(downloaded);
  return /^file:/i.test(url) ? fileURLToPath(url) : url;
}

/** The readers say what is wrong with a container; all of it is mended in one way. */
function withRemedy(thrown: unknown): never {
  if (!(thrown instanceof Fault) || thrown.code !== 'archive_refused') throw thrown;
  throw new Fault('archive_refused', `${thrown.message} ${FINDINGS.container_malformed.remedy}`, {
    cause: thrown.cause,
  });
}

const downloadFailed = (shown: string, cause?: unknown): Fault =>
  new Fault('download_failed', `Failed to download archive from: ${shown}`, { cause });

/** What is neither a refusal nor a failed download is ours: a full disk, a deadline, or a bug. */
function asFault(thrown: unknown, url: string, signal: AbortSignal): Fault {
  const isLate = signal.aborted && (signal.reason as Error | undefined)?.name === 'TimeoutError';
  if (isLate) return new Fault('model_error', `Admission took too long: ${url}`, { cause: thrown });
  if (thrown instanceof Fault) return thrown;
  if (signal.aborted) return new Fault('cancelled', 'The request was cancelled.', { cause: thrown });
  if (errorCode(thrown) === 'ENOSPC') {
    return new Fault('out_of_resources', 'Not enough disk space to unpack the model.', { cause: thrown });
  }
  return new Fault('internal', `Failed to save model: ${url}`, { cause: thrown });
}

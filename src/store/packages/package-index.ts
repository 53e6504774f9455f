// The operator's package index (PEP 503, PEP 691): which files a project has, and their bytes. Talks to nobody else.
import type { FileHandle } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { Fault } from '../../kernel/index.ts';

export interface IndexFile {
  readonly fileName: string;
  readonly url: URL;
  /** As the index claims it; what counts is what the bytes hash to. */
  readonly sha256: string;
}

export interface PackageIndexOptions {
  /** Of the simple API, ending in `/`. */
  readonly indexUrl: string;
  /** Further origins that files of the index may lie at. */
  readonly fileOrigins: readonly string[];
}

/** The largest projects list some ten thousand files. */
const MAX_PAGE_BYTES = 64 * 1024 * 1024;
const MAX_REDIRECTS = 5;
const ACCEPT = 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1';

export class PackageIndex {
  readonly #indexUrl: URL;
  readonly #origins: ReadonlySet<string>;

  constructor({ indexUrl, fileOrigins }: PackageIndexOptions) {
    this.#indexUrl = new URL(indexUrl);
    this.#origins = new Set([this.#indexUrl.origin, ...fileOrigins]);
  }

  /** Files of a project by its normalised name. Throws `download_failed`. */
  async filesOf(project: string, signal: AbortSignal): Promise<readonly IndexFile[]> {
    const { response, url } = await this.#get(new URL(`${project}/`, this.#indexUrl), signal);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of bodyOf(response, url)) {
      bytes += piece.length;
      if (bytes > MAX_PAGE_BYTES) throw failed(url, 'its page is too large');
      pieces.push(piece);
    }
    const page = Buffer.concat(pieces).toString('utf8');
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return isJson ? filesOfJson(page, url) : filesOfHtml(page, url);
  }

  /** Writes a file and checks its hash as it arrives. The result is its size. Throws `download_failed`. */
  async fetch(file: IndexFile, into: FileHandle, maxBytes: number, signal: AbortSignal): Promise<number> {
    const { response, url } = await this.#get(file.url, signal);
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const piece of bodyOf(response, url)) {
      bytes += piece.length;
      if (bytes > maxBytes) throw failed(url, 'it is too large');
      hash.update(piece);
      for (let at = 0; at < piece.length;) at += (await into.write(piece, at)).bytesWritten;
    }
    if (hash.digest('hex') !== file.sha256) throw failed(url, 'its content has another hash');
    return bytes;
  }

  /** Follows redirects by itself: each hop must lie where files of this index may lie. */
  async #get(start: URL, signal: AbortSignal): Promise<{ response: Response; url: URL }> {
    let url = start;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
      if (!this.#origins.has(url.origin)) throw failed(url, 'it is neither on the index nor on pip_file_origins');
      const response = await fetch(url, { redirect: 'manual', signal, headers: { accept: ACCEPT } }).catch(
        (cause: unknown) => {
          signal.throwIfAborted();
          throw failed(url, 'it cannot be reached', cause);
        },
      );
      if (response.ok) return { response, url };
      await response.body?.cancel();
      const target = response.headers.get('location');
      if (response.status < 300 || response.status > 399 || target === null)
        throw failed(url, `HTTP ${response.status}`);
      url = new URL(target, url);
    }
    throw failed(url, 'too many redirects');
  }
}

async function* bodyOf(response: Response, url: URL): AsyncGenerator<Uint8Array> {
  if (response.body === null) throw failed(url, 'it is empty');
  yield* response.body;
}

function filesOfJson(page: string, base: URL): readonly IndexFile[] {
  const document = parseJson(page, base);
  const files = isRecord(document) && Array.isArray(document['files']) ? (document['files'] as unknown[]) : [];
  return files.flatMap((file) => {
    if (!isRecord(file) || !isRecord(file['hashes'])) return [];
    return indexFile(file['filename'], file['url'], file['hashes']['sha256'], base);
  });
}

/** An anchor with its attributes and its text. Nothing in it reaches over a `<`, so a page takes time by its length only. */
const ANCHOR = /<a\s((?:[^<>"']|"[^"<]*"|'[^'<]*')*)>([^<]*)<\/a>/gi;
const HREF = /(?:^|\s)href\s*=\s*(?:"([^"]*)"|'([^']*)')/i;

/** Anchors with the hash in their fragment. */
export function filesOfHtml(page: string, base: URL): readonly IndexFile[] {
  return [...page.matchAll(ANCHOR)].flatMap(([, attributes = '', text]) => {
    const [, double, single] = HREF.exec(attributes) ?? [];
    const href = (double ?? single ?? '').replaceAll('&amp;', '&');
    const sha256 = /#(?:.*&)?sha256=([0-9a-fA-F]{64})/.exec(href)?.[1];
    return indexFile(text?.trim(), href.replace(/#.*$/, ''), sha256, base);
  });
}

function indexFile(fileName: unknown, url: unknown, sha256: unknown, base: URL): IndexFile[] {
  if (typeof fileName !== 'string' || typeof url !== 'string' || typeof sha256 !== 'string') return [];
  const target = URL.parse(url, base.href);
  return target === null ? [] : [{ fileName, url: target, sha256: sha256.toLowerCase() }];
}

function parseJson(text: string, url: URL): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw failed(url, 'its page is not JSON', cause);
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Without query and credentials, which may be secrets. */
const failed = (url: URL, why: string, cause?: unknown): Fault =>
  new Fault('download_failed', `Failed to download ${url.origin}${url.pathname}: ${why}`, { cause });

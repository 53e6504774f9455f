// One log file that rolls at 100 MB or at midnight, keeps five compressed predecessors, and never follows a link (surface spec 11).
import { constants, createReadStream, createWriteStream, writeSync } from 'node:fs';
import { mkdir, open, readdir, rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { fileFailure, type Clock } from '../../kernel/index.ts';
import { descriptorTarget } from './descriptor.ts';
import type { LineTarget } from './line-writer.ts';

export interface RollingOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly maxBytes?: number;
  readonly keep?: number;
}

const MAX_BYTES = 100 * 1024 * 1024;
const KEEP = 5;
/** NONBLOCK: a pipe that nobody reads would never open. */
const OPEN_FLAGS =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Logs hold clients' addresses and models' output: not for everybody on the machine. */
const FILE_MODE = 0o640;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Throws Fault `invalid_configuration` that names the fix. */
export async function openRollingFile(options: RollingOptions): Promise<LineTarget> {
  const file = await openLog(options.path).catch((cause: unknown) => {
    const fix = `let this user write to ${dirname(options.path)}, or name another place: LOG_LOCATION, METRICS_LOCATION or, where there is one, the log configuration`;
    throw fileFailure(options.path, cause, fix);
  });
  const found = await file.stat();
  // /dev/null and pipes are written to, and never renamed.
  if (!found.isFile()) return { ...descriptorTarget(file.fd), close: () => file.close() };
  const { size, mtimeMs } = found;
  return new RollingFile(options, file, size, size > 0 ? mtimeMs : options.clock.wallTime());
}

async function openLog(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true, mode: 0o750 });
  return open(path, OPEN_FLAGS, FILE_MODE);
}

class RollingFile implements LineTarget {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #keep: number;
  #file: FileHandle;
  #bytes: number;
  #day: string;
  /** The last compression: rolling again waits for it, so that a flood fills the bounded queue and not the disk. */
  #archiving: Promise<void> = Promise.resolve();

  constructor(options: RollingOptions, file: FileHandle, bytes: number, lastWrittenMs: number) {
    this.#path = options.path;
    this.#clock = options.clock;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#keep = options.keep ?? KEEP;
    this.#file = file;
    this.#bytes = bytes;
    this.#day = dayOf(lastWrittenMs);
  }

  async write(bytes: Buffer): Promise<void> {
    const today = dayOf(this.#clock.wallTime());
    const isFull = this.#bytes > 0 && this.#bytes + bytes.length > this.#maxBytes;
    if (isFull || (this.#bytes > 0 && today !== this.#day)) await this.#roll();
    this.#day = today;
    await this.#file.appendFile(bytes);
    this.#bytes += bytes.length;
  }

  writeSync(bytes: Buffer): void {
    writeSync(this.#file.fd, bytes);
  }

  async close(): Promise<void> {
    await this.#archiving;
    await this.#file.close();
  }

  async #roll(): Promise<void> {
    await this.#archiving;
    const archive = await this.#freeArchiveName();
    const rolled = `${archive.slice(0, -'.gz'.length)}.rolling`;
    await rename(this.#path, rolled);
    const next = await open(this.#path, OPEN_FLAGS, FILE_MODE);
    await this.#file.close();
    this.#file = next;
    this.#bytes = 0;
    // A failed compression leaves the plain file behind; logging itself goes on.
    this.#archiving = this.#compress(rolled, archive).catch(() => undefined);
  }

  async #compress(rolled: string, archive: string): Promise<void> {
    await pipeline(
      createReadStream(rolled),
      createGzip(),
      createWriteStream(archive, { mode: FILE_MODE, flags: 'wx' }),
    );
    await unlink(rolled);
    const archives = await this.#archives();
    await Promise.all(archives.slice(this.#keep).map((name) => unlink(name)));
  }

  /** `ts_log.30-May.log.gz`, then `ts_log.30-May.2.log.gz`: a second roll on one day must not overwrite the first. */
  async #freeArchiveName(): Promise<string> {
    const stem = this.#path.replace(/\.log$/, '');
    const taken = new Set(await this.#archives());
    for (let number = 1; ; number++) {
      const name = `${stem}.${this.#day}${number === 1 ? '' : `.${number}`}.log.gz`;
      if (!taken.has(name)) return name;
    }
  }

  /** This file's compressed predecessors, newest first. */
  async #archives(): Promise<string[]> {
    const directory = dirname(this.#path);
    const stem = basename(this.#path).replace(/\.log$/, '');
    const names = await readdir(directory);
    const ours = names.filter((name) => name.startsWith(`${stem}.`) && ARCHIVE_SUFFIX.test(name.slice(stem.length)));
    const dated = await Promise.all(
      ours.map(async (name) => ({ path: join(directory, name), time: (await stat(join(directory, name))).mtimeMs })),
    );
    return dated.toSorted((a, b) => b.time - a.time).map(({ path }) => path);
  }
}

const ARCHIVE_SUFFIX = /^\.\d\d-[A-Z][a-z]{2}(\.\d+)?\.log\.gz$/;

function dayOf(epochMs: number): string {
  const date = new Date(epochMs);
  return `${String(date.getDate()).padStart(2, '0')}-${MONTHS[date.getMonth()]}`;
}

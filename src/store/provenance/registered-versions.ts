// What every name and version was registered with, over restarts: one small file each, so that writers never meet.
//
// Only an operator with access to the state directory can release a version (`davy models forget`): nothing that arrives
// over a listener can.
import { createHash, randomBytes } from 'node:crypto';
import { link, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../../kernel/index.ts';
import { privateDirectory } from '../models/private-directory.ts';
import { errorCode } from '../models/published-download.ts';

const RECORD = z.object({
  name: z.string(),
  version: z.string(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  registeredAt: z.string(),
});
export type RegisteredVersion = z.infer<typeof RECORD>;

export class RegisteredVersions {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static at(stateDir: string): RegisteredVersions {
    return new RegisteredVersions(join(stateDir, 'registered'));
  }

  /** Undefined: never registered, or released. Throws `internal` for a record that cannot be read: fail closed. */
  async find(name: string, version: string): Promise<RegisteredVersion | undefined> {
    const path = this.#path(name, version);
    try {
      return RECORD.parse(JSON.parse(await readFile(path, 'utf8')));
    } catch (cause) {
      if (errorCode(cause) === 'ENOENT') return undefined;
      throw new Fault('internal', `The record of ${name} ${version} cannot be read.`, { cause: { path, cause } });
    }
  }

  /** Keeps the first digest, whoever comes first; returns the one that is kept. `replaces` lets the last one count. */
  async keep(record: RegisteredVersion, replaces: boolean): Promise<string> {
    await privateDirectory(this.#dir);
    const path = this.#path(record.name, record.version);
    const part = join(this.#dir, `.${randomBytes(8).toString('hex')}`);
    try {
      await using handle = await open(part, 'wx', 0o600);
      await handle.writeFile(`${JSON.stringify(record)}\n`);
      await handle.sync();
      if (replaces) await rename(part, path);
      else await link(part, path);
      return record.digest;
    } catch (thrown) {
      if (errorCode(thrown) !== 'EEXIST') throw thrown;
      const kept = await this.find(record.name, record.version);
      return kept?.digest ?? record.digest;
    } finally {
      await rm(part, { force: true });
    }
  }

  /** All records that can be read, by name and version. */
  async list(): Promise<readonly RegisteredVersion[]> {
    const names = await readdir(this.#dir).catch(() => []);
    const records: RegisteredVersion[] = [];
    for (const name of names.filter((entry) => entry.endsWith('.json'))) {
      const text = await readFile(join(this.#dir, name), 'utf8').catch(() => '');
      const parsed = RECORD.safeParse(parseJson(text));
      if (parsed.success) records.push(parsed.data);
    }
    const key = (record: RegisteredVersion): string => `${record.name} ${record.version}`;
    return records.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  /** False where there was no record. */
  async forget(name: string, version: string): Promise<boolean> {
    try {
      await rm(this.#path(name, version));
      return true;
    } catch (thrown) {
      if (errorCode(thrown) === 'ENOENT') return false;
      throw thrown;
    }
  }

  /** Names come from archives and requests: they never become paths. */
  #path(name: string, version: string): string {
    const key = createHash('sha256')
      .update(JSON.stringify([name, version]))
      .digest('hex');
    return join(this.#dir, `${key}.json`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

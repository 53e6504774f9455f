// A file that names the process to which something belongs: two servers must not share what each of them rewrites.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault, fileFailure } from '../kernel/index.ts';

/** Two starts that meet over the lock of a dead server need one more look; more than a few looks mean something else. */
const MAX_TRIES = 5;

/**
 * Takes the lock `path` for this process until disposed. `taken` makes the error for a lock of a living process, with
 * words for its owner. A lock whose process is gone does not count: a killed server leaves one. Throws
 * `invalid_configuration` where no file can be written.
 */
export async function claimLock(path: string, taken: (owner: string) => Fault): Promise<AsyncDisposable> {
  const text = `${JSON.stringify({ pid: process.pid, startedAt: startTimeOf(process.pid) ?? '' })}\n`;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    if (await place(path, text)) return { [Symbol.asyncDispose]: () => release(path, text) };
    const found = await readFile(path, 'utf8').catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw fileFailure(path, cause, 'remove it if no other server runs here, or start in another directory');
    });
    if (found === undefined) continue;
    const pid = livingOwner(found);
    if (pid !== undefined) throw taken(`another running server (pid ${pid})`);
    await discard(path, found);
  }
  throw taken('other servers that are starting');
}

/** Under its name the file is complete from its first moment. False: somebody's is there. */
async function place(path: string, text: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(9).toString('base64url')}`;
  await writeFile(temporary, text, { mode: 0o600, flag: 'wx' }).catch((cause: unknown) => {
    throw new Fault(
      'invalid_configuration',
      `${dirname(path)} cannot be written; start the server in another directory.`,
      { cause },
    );
  });
  try {
    await link(temporary, path);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    return false;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** A right to discard that is older was left by a process that died holding it. */
const MAX_DISCARD_MS = 10_000;

/**
 * Takes the lock of a dead server away. Of several that judged the same text, only the one that makes the link named
 * after it may: so none can take a lock that another has placed since.
 */
async function discard(path: string, judged: string): Promise<void> {
  const right = `${path}.${createHash('sha256').update(judged).digest('hex').slice(0, 16)}`;
  try {
    await link(path, right);
  } catch {
    const made = await stat(right).catch(() => undefined);
    if (made !== undefined && Date.now() - made.ctimeMs > MAX_DISCARD_MS) await rm(right, { force: true });
    return;
  }
  try {
    if ((await readFile(right, 'utf8')) === judged) await rm(path, { force: true });
  } finally {
    await rm(right, { force: true });
  }
}

async function release(path: string, text: string): Promise<void> {
  const found = await readFile(path, 'utf8').catch(() => undefined);
  if (found === text) await rm(path, { force: true });
}

/** Process numbers are given out again; with its start time one names a single process. */
function livingOwner(text: string): number | undefined {
  try {
    const { pid, startedAt } = JSON.parse(text) as { readonly pid?: unknown; readonly startedAt?: unknown };
    return typeof pid === 'number' && startTimeOf(pid) === startedAt ? pid : undefined;
  } catch {
    // No lock of ours; what is not understood protects nobody.
    return undefined;
  }
}

/** In clock ticks since boot: the 22nd field of /proc/PID/stat, counted after the name, which may hold anything. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_TIME_FIELD];
  } catch {
    return undefined;
  }
}

const START_TIME_FIELD = 19;

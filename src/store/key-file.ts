// key_file.json: three keys that live as long as the server (surface spec 6.1), written so that nobody else ever reads one.
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Fault, type Clock } from '../kernel/index.ts';
import { parseScope, type Keyring, type Principal } from '../policy/index.ts';
import type { Announcements, TokenRotation } from '../serving/index.ts';

/** 256 bits: guessing is hopeless at any speed. TorchServe's had 48. */
const KEY_BYTES = 32;

type Slot = 'management' | 'inference' | 'API';

const SCOPES: Record<Slot, readonly string[]> = {
  management: ['read:*', 'manage:*', 'metrics:*'],
  inference: ['infer:*'],
  API: ['token:*'],
};

export interface KeyFileOptions {
  /** `key_file.json` in the working directory, for TorchServe's clients. */
  readonly path: string;
  /** Lifetime of the management and inference keys in minutes, decimals allowed. The API key never expires. */
  readonly expirationMin: number;
  /** Where the keys become valid. */
  readonly keyring: Keyring;
  readonly clock: Clock;
  readonly announcements: Announcements;
}

export interface KeyFile extends TokenRotation {
  /** Absolute. */
  readonly path: string;
  /** Deletes the file at the stop of the server, unless somebody put another one in its place. */
  remove(): Promise<void>;
}

interface Key {
  readonly key: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

type Keys = Record<Slot, Key>;

/** Makes three fresh keys, writes the file, and lets the keys in. Throws Fault `invalid_configuration` that names the fix. */
export async function createKeyFile(options: KeyFileOptions): Promise<KeyFile> {
  const { clock, keyring, announcements } = options;
  const path = resolve(options.path);
  const fresh = (slot: Slot): Key => ({
    key: randomBytes(KEY_BYTES).toString('base64url'),
    expiresAt: slot === 'API' ? Infinity : clock.wallTime() + options.expirationMin * 60_000,
  });
  const admit = (slot: Slot, { key, expiresAt }: Key): void =>
    keyring.put(`key_file/${slot}`, key, principalOf(slot), expiresAt);

  let keys: Keys = { management: fresh('management'), inference: fresh('inference'), API: fresh('API') };
  await refuseForeign(path);
  await replaceFile(path, textOf(keys));
  for (const slot of ['management', 'inference', 'API'] as const) admit(slot, keys[slot]);
  for (const message of bannerOf(path)) announcements.notice.publish({ level: 'info', message });

  // Rotations queue up: two at once must not each write a file that misses the other's key.
  let lastWrite: Promise<void> = Promise.resolve();
  const rotate = async (type: 'management' | 'inference'): Promise<void> => {
    const next = { ...keys, [type]: fresh(type) };
    await refuseForeign(path);
    await replaceFile(path, textOf(next));
    keys = next;
    admit(type, keys[type]);
  };

  return {
    path,
    rotate(type) {
      const turn = lastWrite.then(() => rotate(type));
      lastWrite = turn.catch(() => undefined);
      return turn;
    },
    async remove() {
      await lastWrite;
      const found = await lstat(path).catch(() => undefined);
      if (found?.isFile() && (await readFile(path, 'utf8')) === textOf(keys)) await rm(path, { force: true });
    },
  };
}

function principalOf(slot: Slot): Principal {
  return { id: `key_file/${slot}`, scopes: SCOPES[slot].map(parseScope) };
}

/** Two-space JSON without a newline at the end; `expiration time` is spelled with a blank (surface spec 6.1). */
function textOf(keys: Keys): string {
  const entry = ({ key, expiresAt }: Key): object =>
    expiresAt === Infinity ? { key } : { key, 'expiration time': new Date(expiresAt).toISOString() };
  return JSON.stringify(
    { management: entry(keys.management), inference: entry(keys.inference), API: entry(keys.API) },
    null,
    2,
  );
}

/** What stands at the path already is overwritten only if it is a plain file of ours: anything else was put there by somebody. */
async function refuseForeign(path: string): Promise<void> {
  let found: Stats;
  try {
    found = await lstat(path);
  } catch (cause) {
    if (isMissing(cause)) return;
    throw setupFailed(
      path,
      'it cannot be looked at',
      'start the server in a directory that it may read and write',
      cause,
    );
  }
  if (found.isSymbolicLink()) throw setupFailed(path, 'it is a symbolic link', 'remove the link');
  if (!found.isFile()) throw setupFailed(path, 'it is not a regular file', 'move it away');
  if (found.uid !== process.getuid?.()) {
    throw setupFailed(path, 'it belongs to another user', 'remove it, or start the server in another directory');
  }
}

/** Writes beside the target and renames: readers see the old file or the new one, and both were 0600 from the first byte. */
async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(9).toString('base64url')}.tmp`;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  try {
    await using file = await open(temporary, flags, 0o600);
    await file.writeFile(text);
    await file.sync();
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw setupFailed(
      path,
      'it cannot be written',
      `make ${dirname(path)} writable, start the server in another directory, or set disable_token_authorization=true if something else protects it`,
      cause,
    );
  }
}

function setupFailed(path: string, reason: string, fix: string, cause?: unknown): Fault {
  return new Fault(
    'invalid_configuration',
    `Token Authorization setup unsuccessful: ${path}: ${reason}. To fix it, ${fix}.`,
    cause === undefined ? {} : { cause },
  );
}

const isMissing = (thrown: unknown): boolean => (thrown as NodeJS.ErrnoException).code === 'ENOENT';

function bannerOf(path: string): readonly string[] {
  return [
    'TorchServe now enforces token authorization by default.',
    'This requires the correct token to be provided when calling an API.',
    `Key file located at ${path}`,
    'Check token authorization documentation for information: docs/configuration.md',
  ];
}

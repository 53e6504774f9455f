import assert from 'node:assert/strict';
import { chmod, mkdtemp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Fault, systemClock } from '../kernel/index.ts';
import { FailureLimiter, Keyring, createGate, scoped, type Verb } from '../policy/index.ts';
import { Announcements } from '../serving/index.ts';
import { createKeyFile } from './key-file.ts';

describe('the key file', () => {
  let dir = '';
  let path = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'davy-keys-'));
    path = join(dir, 'key_file.json');
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  test('holds three long keys, readable by its owner only, in the documented shape', async () => {
    const { lines } = await create(path);
    const text = await readFile(path, 'utf8');
    const content = JSON.parse(text);
    assert.deepEqual(Object.keys(content), ['management', 'inference', 'API']);
    assert.deepEqual(Object.keys(content.management), ['key', 'expiration time']);
    assert.deepEqual(Object.keys(content.API), ['key']);
    assert.match(content.inference.key, /^[A-Za-z0-9_-]{43}$/);
    assert.match(content.inference['expiration time'], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    assert.equal(text, JSON.stringify(content, null, 2));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(dir), ['key_file.json']);
    assert.ok(lines.includes(`Key file located at ${path}`));
    assert.ok(!lines.some((line) => line.includes(content.API.key)));
  });

  test('gives every key its own verbs', async () => {
    const { can, read } = await create(path);
    const keys = await read();
    assert.deepEqual(await can(keys.inference.key), ['infer']);
    assert.deepEqual(await can(keys.management.key), ['read', 'manage', 'metrics']);
    assert.deepEqual(await can(keys.API.key), ['token']);
  });

  test('rotates one key: the old one stops at once, the others stay, the expiry restarts', async () => {
    const clock = { ...systemClock, wallTime: () => wall };
    let wall = 0;
    const { file, can, read } = await create(path, { clock, expirationMin: 0.25 });
    const before = await read();
    wall = 14_000;
    await file.rotate('inference');
    const after = await read();
    assert.notEqual(after.inference.key, before.inference.key);
    assert.deepEqual(await can(before.inference.key), []);
    assert.equal(after.management.key, before.management.key);
    wall = 15_000;
    assert.deepEqual(await can(after.inference.key), ['infer']);
    assert.deepEqual(await can(after.management.key), []);
    assert.deepEqual(await can(after.API.key), ['token']);
    wall = 29_000;
    assert.deepEqual(await can(after.inference.key), []);
  });

  test('keeps both keys when both are rotated at the same time', async () => {
    const { file, can, read } = await create(path);
    await Promise.all([file.rotate('inference'), file.rotate('management'), file.rotate('inference')]);
    const keys = await read();
    assert.deepEqual(await can(keys.inference.key), ['infer']);
    assert.deepEqual(await can(keys.management.key), ['read', 'manage', 'metrics']);
  });

  test('replaces a plain file of ours, whatever its mode was', async () => {
    await writeFile(path, 'old');
    await chmod(path, 0o644);
    await create(path);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  test('is never written through a symbolic link', async () => {
    const victim = join(dir, 'victim');
    await writeFile(victim, 'precious');
    await symlink(victim, path);
    await assert.rejects(create(path), refusesWith(/symbolic link.*remove the link/));
    assert.equal(await readFile(victim, 'utf8'), 'precious');
  });

  test('refuses a dangling link, a directory and a missing folder, naming the fix', async () => {
    await symlink(join(dir, 'nowhere'), path);
    await assert.rejects(create(path), refusesWith(/symbolic link/));
    await rm(path);
    await mkdir(path);
    await assert.rejects(create(path), refusesWith(/not a regular file.*move it away/));
    await assert.rejects(create(join(dir, 'absent', 'key_file.json')), refusesWith(/writable/));
  });

  test('is deleted at the stop, but not if somebody replaced it', async () => {
    const first = await create(path);
    await first.file.remove();
    assert.deepEqual(await readdir(dir), []);
    const second = await create(path);
    await rm(path);
    await writeFile(join(dir, 'other'), 'x');
    await writeFile(path, 'not ours');
    await second.file.remove();
    assert.equal(await readFile(path, 'utf8'), 'not ours');
  });
});

async function create(path: string, options: { clock?: typeof systemClock; expirationMin?: number } = {}) {
  const clock = options.clock ?? systemClock;
  const keyring = new Keyring(clock);
  const announcements = new Announcements();
  const lines: string[] = [];
  announcements.notice.subscribe((event) => lines.push(event.message));
  const file = await createKeyFile({ path, expirationMin: options.expirationMin ?? 60, keyring, clock, announcements });
  const gate = createGate(keyring, new FailureLimiter(clock));
  const verbs: readonly Verb[] = ['infer', 'read', 'manage', 'token', 'metrics'];
  const isAdmitted = (key: string, verb: Verb): boolean => {
    try {
      gate.admit(`Bearer ${key}`, '127.0.0.1', scoped(verb, '*'));
      return true;
    } catch {
      return false;
    }
  };
  return {
    file,
    lines,
    can: async (key: string) => verbs.filter((verb) => isAdmitted(key, verb)),
    read: async () => JSON.parse(await readFile(path, 'utf8')),
  };
}

function refusesWith(pattern: RegExp) {
  return (thrown: unknown) =>
    thrown instanceof Fault && thrown.code === 'invalid_configuration' && pattern.test(thrown.message);
}

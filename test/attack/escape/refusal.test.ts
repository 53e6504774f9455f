// A machine that cannot give a level is told apart from one that can: never silently less than was asked for.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { Trial } from './try-level.ts';

const run = promisify(execFile);
const SCRIPT = join(import.meta.dirname, 'try-level.ts');
const BWRAP = '/usr/bin/bwrap';
const IS_ROOT = process.getuid?.() === 0;
const ORDINARY_UID = '64999';
/** A world like the outside one, but in it nobody may make another. */
const NO_NAMESPACES = [
  BWRAP,
  '--unshare-user',
  '--disable-userns',
  '--bind',
  '/',
  '/',
  '--dev-bind',
  '/dev',
  '/dev',
  '--',
];

const needsBwrap =
  existsSync(BWRAP) && existsSync('/usr/bin/python3') && isReadable()
    ? false
    : 'needs bwrap, python3 and an open checkout';

describe('isolation that cannot be had', { skip: needsBwrap }, () => {
  test('is refused where bubblewrap is missing, with the line that installs it', async () => {
    const trial = await attempt([], 'strict', '/nowhere');
    assert.ok(trial.kind === 'refused' && trial.code === 'invalid_configuration');
    assert.match(trial.message, /bubblewrap/);
    assert.match(trial.message, /install/);
  });

  test('is refused where namespaces are forbidden, although bubblewrap is there', async () => {
    const trial = await attempt(NO_NAMESPACES, 'strict');
    assert.ok(trial.kind === 'refused' && trial.code === 'invalid_configuration');
    assert.match(trial.message, /namespaces/);
  });

  test('leaves the level "process", which needs no namespaces and holds without them', async () => {
    const trial = await attempt(NO_NAMESPACES, 'process');
    assert.ok(trial.kind === 'given', JSON.stringify(trial));
    assert.deepEqual(trial.hits, []);
    assert.ok(trial.tried > 20);
  });
});

async function attempt(
  before: readonly string[],
  level: string,
  path = '/usr/bin:/bin',
  python = '/usr/bin/python3',
): Promise<Trial> {
  const become = IS_ROOT
    ? ['/usr/bin/setpriv', '--reuid', ORDINARY_UID, '--regid', ORDINARY_UID, '--clear-groups']
    : [];
  const [file = '', ...args] = [...become, ...before, process.execPath, SCRIPT, level, python];
  const { stdout } = await run(file, args, { env: { PATH: path }, timeout: 30_000 });
  return JSON.parse(stdout) as Trial;
}

/** By whoever the test becomes: a checkout in root's home is not. */
function isReadable(): boolean {
  const folders = import.meta.dirname.split('/').map((_, index, all) => all.slice(0, index + 1).join('/') || '/');
  return !IS_ROOT || folders.every((folder) => (statSync(folder).mode & 0o005) === 0o005);
}

describe('a machine without Python', { skip: needsBwrap }, () => {
  for (const level of ['strict', 'process']) {
    test(`is probed from a Node worker at ${level}, which stays inside`, async () => {
      const trial = await attempt([], level, undefined, '/no/such/python');
      assert.ok(trial.kind === 'given', JSON.stringify(trial));
      assert.deepEqual(trial.hits, []);
      assert.ok(trial.tried > 10);
    });
  }

  test('has attacks that are real', async () => {
    const trial = await attempt([], 'none', undefined, '/no/such/python');
    assert.ok(trial.kind === 'given');
    for (const id of ['F01', 'F02', 'F03', 'F04', 'P04', 'N01', 'N05']) assert.ok(trial.hits.includes(id), id);
  });
});

// A machine that cannot give a level is told apart from one that can: never silently less than was asked for.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { compileFilter } from '../../../src/workers/cage/seccomp.ts';
import type { Trial } from './try-level.ts';

const run = promisify(execFile);
const SCRIPT = join(import.meta.dirname, 'try-level.ts');
const BWRAP = '/usr/bin/bwrap';
const IS_ROOT = process.getuid?.() === 0;
const ORDINARY_UID = '64999';
/** A kernel that answers as one without Landlock does. */
const NO_LANDLOCK_FILTER = compileFilter(
  {
    rules: new Map([['landlock_create_ruleset', { errno: 'ENOSYS' }]]),
    known: 'allow',
    unknown: 'allow',
  },
  process.arch === 'arm64' ? 'arm64' : 'x64',
).bytes;
const NO_LANDLOCK = [
  '/bin/sh',
  '-c',
  `printf '${Array.from(NO_LANDLOCK_FILTER, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')}' > "/tmp/davy-filter-$$"
exec 9< "/tmp/davy-filter-$$"
rm "/tmp/davy-filter-$$"
exec ${BWRAP} --bind / / --dev-bind /dev /dev --seccomp 9 -- "$@"`,
  'davy',
];
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

  test('is refused where the kernel has no Landlock, with what to boot', async () => {
    const trial = await attempt(NO_LANDLOCK, 'process');
    assert.ok(trial.kind === 'refused' && trial.code === 'invalid_configuration', JSON.stringify(trial));
    assert.match(trial.message, /no Landlock.*To get it: boot Linux 6\.7 or newer with "landlock" in the lsm= list/);
  });

  test('leaves the level "strict" without Landlock, which says so and holds', async () => {
    const trial = await attempt(NO_LANDLOCK, 'strict');
    assert.ok(trial.kind === 'given', JSON.stringify(trial));
    assert.deepEqual(trial.hits, []);
    assert.ok(trial.degraded.some((sentence) => /No Landlock.*To get it: Linux 5\.19/.test(sentence)));
  });

  test('is refused where bubblewrap is too old, or setuid, or its helpers are missing, each by its name', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'davy-programs-'));
    chmodSync(folder, 0o755);
    try {
      for (const program of ['sh', 'true', 'unshare', 'setpriv'])
        symlinkSync(`/usr/bin/${program}`, join(folder, program));
      symlinkSync(BWRAP, join(folder, 'bwrap'));
      const bare = await attempt([], 'strict', folder);
      assert.ok(bare.kind === 'refused', JSON.stringify(bare));
      assert.match(bare.message, /prlimit is not installed.*util-linux/);
      rmSync(join(folder, 'bwrap'));
      writeFileSync(join(folder, 'bwrap'), '#!/bin/sh\necho "bubblewrap 0.4.1"\n', { mode: 0o755 });
      const old = await attempt([], 'strict', folder);
      assert.ok(old.kind === 'refused', JSON.stringify(old));
      assert.match(old.message, /bubblewrap 0\.4\.1 is too old \(0\.5\.0 is needed\).*bubblewrap/);
      chmodSync(join(folder, 'bwrap'), 0o4755);
      const setuid = await attempt([], 'strict', folder);
      assert.ok(setuid.kind === 'refused', JSON.stringify(setuid));
      assert.match(setuid.message, /is setuid root.*chmod u-s/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('watches temporary files where bubblewrap cannot bound them, and says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'davy-programs-'));
    chmodSync(folder, 0o755);
    try {
      const old = `#!/bin/sh\ncase "$1" in --version) echo "bubblewrap 0.6.1";; --help) ;; *) exec ${BWRAP} "$@";; esac\n`;
      writeFileSync(join(folder, 'bwrap'), old, { mode: 0o755 });
      const trial = await attempt([], 'strict', `${folder}:/usr/bin:/bin`);
      assert.ok(trial.kind === 'given', JSON.stringify(trial));
      assert.deepEqual(trial.hits, []);
      assert.ok(trial.degraded.some((sentence) => /bubblewrap 0\.6\.1 bounds no temporary files/.test(sentence)));
    } finally {
      rmSync(folder, { recursive: true });
    }
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

  test('holds at strict although there is no Python at all, and says what it goes without', async () => {
    const hidden = ['/usr/bin/python3', '/usr/bin/python']
      .filter((path) => existsSync(path))
      .map((path) => realpathSync(path));
    const covers = hidden.flatMap((path) => ['--ro-bind', '/dev/null', path]);
    const trial = await attempt([BWRAP, '--bind', '/', '/', '--dev-bind', '/dev', '/dev', ...covers, '--'], 'strict');
    assert.ok(trial.kind === 'given', JSON.stringify(trial));
    assert.deepEqual(trial.hits, []);
    assert.ok(trial.degraded.some((sentence) => /No Python 3 that every worker can read/.test(sentence)));
  });

  test('has attacks that are real', async () => {
    const trial = await attempt([], 'none', undefined, '/no/such/python');
    assert.ok(trial.kind === 'given');
    for (const id of ['F01', 'F02', 'F03', 'F04', 'P04', 'N01', 'N05']) assert.ok(trial.hits.includes(id), id);
  });
});

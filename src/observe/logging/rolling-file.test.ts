import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { clockAt } from '../../../test/support/manual-clock.ts';
import { openRollingFile } from './rolling-file.ts';

const MAY_30 = new Date(2024, 4, 30, 23, 0).getTime();
const HOUR_MS = 3_600_000;

async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'davy-rolling-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

test('a full file is compressed under the day, and a second one on that day gets a number', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'ts_log.log');
  const file = await openRollingFile({ path, clock: clockAt(MAY_30), maxBytes: 10 });
  for (const line of ['first 9 b', 'second 9b', 'third 9 b']) await file.write(Buffer.from(line));
  await file.close();
  assert.deepEqual((await readdir(directory)).toSorted(), [
    'ts_log.30-May.2.log.gz',
    'ts_log.30-May.log.gz',
    'ts_log.log',
  ]);
  assert.equal(gunzipSync(await readFile(join(directory, 'ts_log.30-May.log.gz'))).toString(), 'first 9 b');
  assert.equal(await readFile(path, 'utf8'), 'third 9 b');
});

test('a file rolls at midnight', async (t) => {
  const directory = await temporaryDirectory(t);
  const clock = clockAt(MAY_30);
  const file = await openRollingFile({ path: join(directory, 'access_log.log'), clock });
  await file.write(Buffer.from('today'));
  clock.advance(2 * HOUR_MS);
  await file.write(Buffer.from('tomorrow'));
  await file.close();
  assert.deepEqual((await readdir(directory)).toSorted(), ['access_log.30-May.log.gz', 'access_log.log']);
  assert.equal(await readFile(join(directory, 'access_log.log'), 'utf8'), 'tomorrow');
});

test('only the newest archives are kept', async (t) => {
  const directory = await temporaryDirectory(t);
  const file = await openRollingFile({
    path: join(directory, 'a.log'),
    clock: clockAt(MAY_30),
    maxBytes: 1,
    keep: 2,
  });
  for (const line of ['1', '2', '3', '4', '5']) await file.write(Buffer.from(line));
  await file.close();
  const archives = (await readdir(directory)).filter((name) => name.endsWith('.gz'));
  assert.equal(archives.length, 2);
});

test('a link in place of the file is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  await symlink(join(directory, 'elsewhere'), join(directory, 'ts_log.log'));
  await assert.rejects(openRollingFile({ path: join(directory, 'ts_log.log'), clock: clockAt(MAY_30) }), {
    code: 'invalid_configuration',
    message: /symbolic link/,
  });
});

test('a pipe is written to and never renamed, and one that nobody reads is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  const options = { path, clock: clockAt(MAY_30), maxBytes: 1 };
  await assert.rejects(openRollingFile(options), { code: 'invalid_configuration' });
  await using reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const file = await openRollingFile(options);
  for (const line of ['one ', 'two']) await file.write(Buffer.from(line));
  await file.close();
  assert.equal(await reader.readFile('utf8'), 'one two');
  assert.deepEqual(await readdir(directory), ['pipe']);
});

test('a log that cannot be opened is named with the variable that moves it', async (t) => {
  const dir = await temporaryDirectory(t);
  const path = join(dir, 'x.log', 'ts_log.log');
  await (await openRollingFile({ path: join(dir, 'x.log'), clock: clockAt(0) })).close();
  await assert.rejects(openRollingFile({ path, clock: clockAt(0) }), /ts_log\.log: .* LOG_LOCATION/);
});

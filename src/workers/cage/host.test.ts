import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeLandlock } from './host.ts';
import { outermost } from './wanted-paths.ts';
import { narrowPrefix } from './python-home.ts';

test('Landlock that cannot refuse TCP is too old, and the finding says what to boot', () => {
  assert.equal(judgeLandlock(4), null);
  assert.match(judgeLandlock(3)?.missing ?? '', /ABI 3/);
  assert.match(judgeLandlock(0)?.remedy ?? '', /lsm=/);
});

test('an interpreter installed into a home shows its programs and libraries, never the home', () => {
  for (const home of ['/root', '/home/ann', '/', '/opt']) assert.ok(!narrowPrefix(home).includes(home), home);
  assert.deepEqual(narrowPrefix('/home/ann/.venv'), ['/home/ann/.venv']);
});

test('paths inside other wanted paths or inside /usr need no mount of their own', () => {
  const paths = ['/usr/lib/python3', '/opt/a/b', '/opt/a', '/opt/ab', '/opt/a', '/gone'];
  assert.deepEqual(
    outermost(paths, (path) => path !== '/gone'),
    ['/opt/a', '/opt/ab'],
  );
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bubblewrapArguments, type BubblewrapView } from './bubblewrap.ts';

const VIEW: BubblewrapView = {
  readOnly: ['/opt/python'],
  hidden: ['/usr/local'],
  model: { from: '/var/lib/davy/models/abc', fd: 6, to: '/model' },
  tmpBytes: 1024,
  env: { LANG: 'C.UTF-8' },
  devices: [],
  gpuPaths: [],
  hasDisableUserns: true,
  seccompFd: 4,
};

describe('the bubblewrap command line', () => {
  const args = bubblewrapArguments(VIEW);
  const at = (...wanted: string[]): number =>
    args.findIndex((_, index) => wanted.every((word, offset) => args[index + offset] === word));

  test('unshares every namespace and drops every capability', () => {
    for (const name of ['user', 'pid', 'ipc', 'uts', 'cgroup', 'net'])
      assert.ok(args.includes(`--unshare-${name}`), name);
    assert.notEqual(at('--cap-drop', 'ALL'), -1);
    for (const flag of ['--die-with-parent', '--new-session', '--clearenv', '--disable-userns'])
      assert.ok(args.includes(flag), flag);
  });

  test('binds nothing writable', () => {
    for (const flag of ['--bind', '--bind-try', '--dev-bind', '--bind-fd']) assert.ok(!args.includes(flag), flag);
  });

  test('sizes every tmpfs that stays writable', () => {
    for (const path of ['/tmp', '/dev/shm']) {
      const index = at('--tmpfs', path);
      assert.ok(
        args
          .slice(index - 4, index)
          .join(' ')
          .includes('--size 1024'),
        path,
      );
    }
  });

  test('seals the root after the last mount, and /dev after its own', () => {
    assert.ok(at('--remount-ro', '/') > at('--ro-bind', VIEW.model.from, '/model'));
    assert.ok(at('--remount-ro', '/') > at('--ro-bind', '/opt/python', '/opt/python'));
    assert.ok(at('--remount-ro', '/dev') > at('--tmpfs', '/dev/shm'));
  });

  test('shows interpreters that lie in /tmp after it was covered', () => {
    const inTmp = bubblewrapArguments({ ...VIEW, readOnly: ['/tmp/venv'] });
    assert.ok(inTmp.lastIndexOf('/tmp/venv') > inTmp.indexOf('/tmp'));
  });

  test('mounts no /proc without a GPU, and with one only the nodes of that GPU', () => {
    assert.equal(at('--proc', '/proc'), -1);
    const gpu = bubblewrapArguments({ ...VIEW, devices: ['/dev/nvidia1'], gpuPaths: ['/proc/driver/nvidia'] });
    assert.deepEqual(
      gpu.filter((word) => word.startsWith('/dev/nvidia')),
      ['/dev/nvidia1', '/dev/nvidia1'],
    );
  });
});

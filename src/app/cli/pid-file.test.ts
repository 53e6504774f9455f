import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Fault } from '../../kernel/index.ts';
import { createPidFile, isServerCommand, readPidFile, removePidFile } from './pid-file.ts';

describe('the pid file', () => {
  let dir = '';
  let path = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-pid-'));
    path = join(dir, '.model_server.pid');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  test('is plain decimal and is never overwritten', () => {
    assert.equal(createPidFile(path, 42), true);
    assert.equal(readFileSync(path, 'utf8'), '42');
    assert.equal(createPidFile(path, 43), false);
    assert.equal(readFileSync(path, 'utf8'), '42');
  });

  test('with the number of another program is stale, however alive that program is', () => {
    writeFileSync(path, String(process.pid));
    assert.deepEqual(readPidFile(path), { kind: 'stale', pid: process.pid });
  });

  test('with anything but a number is stale and names no process', () => {
    for (const text of ['', '-1', '0', '1 2', '99999999999', 'x']) {
      writeFileSync(path, text);
      assert.deepEqual(readPidFile(path), { kind: 'stale', pid: undefined }, text);
    }
  });

  test('that is a link is neither read nor written', () => {
    const target = join(dir, 'target');
    symlinkSync(target, path);
    assert.throws(() => readPidFile(path), Fault);
    assert.equal(createPidFile(path, 1), false);
  });

  test('is removed only while it names the given process', () => {
    createPidFile(path, 42);
    removePidFile(path, 41);
    assert.equal(readPidFile(path).kind, 'stale');
    removePidFile(path, 42);
    assert.equal(readPidFile(path).kind, 'absent');
  });
});

test('a server is recognised by how this package starts one', () => {
  assert.ok(isServerCommand(['/usr/bin/node', '/x/bin/davy', 'serve', '--models=all']));
  assert.ok(isServerCommand(['node', '--max-old-space-size=1', '/x/bin/davy', 'serve']));
  assert.ok(isServerCommand(['node', '/x/bin/torchserve', '--start', '--foreground', '--models', 'all']));
  assert.ok(isServerCommand(['node', '/x/bin/torchserve', '--fore']));
  assert.ok(!isServerCommand(['node', '/x/bin/torchserve', '--start']));
  assert.ok(!isServerCommand(['node', '/x/bin/torchserve', '--stop', '--foreground']));
  assert.ok(!isServerCommand(['node', '/x/bin/davy', 'predict', 'serve']));
  assert.ok(!isServerCommand(['vim', 'davy']));
  assert.ok(!isServerCommand(['postgres', 'serve']));
  assert.ok(!isServerCommand([]));
});

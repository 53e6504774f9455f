import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { endLeftGroup, forgetGroup, noteGroup } from './left-group.ts';

test('a group that was noted is left alone where it is no cage, or has its leader still', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'davy-group-'));
  const folder = join(dir, 'worker');
  const leader = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  try {
    noteGroup(folder, leader.pid ?? 0);
    endLeftGroup(folder);
    assert.equal(leader.exitCode, null);
    assert.ok(existsSync(`/proc/${leader.pid}`));
    forgetGroup(folder);
    // From before the machine was started again: the number means nothing any more.
    writeFileSync(`${folder}.group`, `another-boot ${leader.pid}`, { mode: 0o600 });
    endLeftGroup(folder);
    assert.ok(existsSync(`/proc/${leader.pid}`));
  } finally {
    leader.kill('SIGKILL');
    await once(leader, 'exit');
    rmSync(dir, { recursive: true });
  }
});

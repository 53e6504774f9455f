import assert from 'node:assert/strict';
import type { Stats } from 'node:fs';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { planReach, quote, reachScript } from './reach.ts';

/** Folders are open unless listed. */
const tree =
  (modes: Readonly<Record<string, number>>) =>
  (path: string): Stats =>
    ({ mode: modes[path] ?? 0o755, isDirectory: () => true }) as Stats;

describe("the way to a file in somebody else's home", () => {
  test('needs nothing where every folder may be passed', () => {
    const plan = planReach(['/opt/python', '/srv/model'], tree({}));
    assert.deepEqual(plan, { blocked: [], behind: [], closed: [] });
    assert.deepEqual(
      reachScript(plan, () => true),
      [],
    );
  });

  test('covers the outermost closed folder and brings back only what is wanted', () => {
    const plan = planReach(['/root/.pyenv/3.11', '/root/models/a'], tree({ '/root': 0o700, '/root/.pyenv': 0o700 }));
    assert.deepEqual(plan.blocked, ['/root']);
    assert.deepEqual(plan.behind, ['/root/.pyenv/3.11', '/root/models/a']);
    const script = reachScript(plan, () => true);
    const cover = script.findIndex((line) => line.startsWith('mount -t tmpfs') && line.endsWith("'/root'"));
    const park = script.findIndex((line) => line.includes("--rbind '/root/models/a'"));
    const back = script.findIndex((line) => line.includes('--move') && line.endsWith("'/root/models/a'"));
    assert.ok(park < cover && cover < back);
  });

  test('brings a file back with the folder that holds it, and never makes it anew there', () => {
    const plan = planReach(
      ['/root/davy/python', '/root/davy/python/davy_worker/cage.py', '/root/davy/python', '/root/davy/pythons'],
      tree({ '/root': 0o700 }),
    );
    assert.deepEqual(plan.behind, ['/root/davy/python', '/root/davy/pythons']);
    const script = reachScript(plan, (path) => !path.endsWith('.py')).join('\n');
    assert.doesNotMatch(script, /cage\.py/);
  });

  test('parks mounts where no wanted path lies', () => {
    const plan = planReach(['/mnt/secret/model'], tree({ '/mnt/secret': 0o700 }));
    assert.ok(!reachScript(plan, () => true).some((line) => line.endsWith('umount /mnt')));
  });

  test('does not open what its owner closed', () => {
    assert.deepEqual(planReach(['/srv/model'], tree({ '/srv/model': 0o700 })).closed, ['/srv/model']);
  });
});

test('a quoted word means itself to a shell, whatever it contains', () => {
  const word = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 20 }), (words) => {
      const script = `printf '%s\\0' ${words.map(quote).join(' ')}`;
      assert.equal(execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }), `${words.join('\0')}\0`);
    }),
    { numRuns: 10 },
  );
});

// The files are ordinary ones in a temporary folder: what is tested is which of them are found, and what is written.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { defaultLimits } from '../../policy/index.ts';
import { findCgroups, makeWorkerCgroup } from './cgroup.ts';

const LIMITS = { ...defaultLimits({ memoryBytes: 2 ** 36, artifactBytes: 0, threads: 1 }), cpus: 1.5 };
const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

describe('control groups', () => {
  test('of version 1 are found under each controller of its own', () => {
    const root = machine({
      'proc/self/cgroup': '5:pids:/own\n4:memory:/box/own\n1:cpu,cpuacct:/\n0::/\n',
      'proc/self/mountinfo': [
        '1 0 0:1 / /cg/memory rw - cgroup cgroup rw,memory',
        '2 0 0:2 / /cg/pids rw - cgroup cgroup rw,pids',
        '3 0 0:3 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct',
      ].join('\n'),
      'cg/memory/box/own/x': '',
      'cg/pids/own/x': '',
      'cg/cpu/x': '',
    });
    const host = findCgroups(root, 7);
    assert.deepEqual(host, {
      version: 1,
      roots: new Map([
        ['memory', join(root, 'cg/memory/box/own')],
        ['pids', join(root, 'cg/pids/own')],
        ['cpu', join(root, 'cg/cpu')],
      ]),
    });
  });

  test('of version 2 are taken where memory is delegated: the server moves into a leaf first', () => {
    const root = machine({
      'proc/self/cgroup': '0::/user.slice/davy.service\n',
      'proc/self/mountinfo': '1 0 0:1 / /cg rw - cgroup2 cgroup2 rw',
      'cg/user.slice/davy.service/cgroup.controllers': 'cpu memory pids\n',
    });
    const own = join(root, 'cg/user.slice/davy.service');
    assert.equal(findCgroups(root, 7)?.version, 2);
    assert.equal(readFileSync(join(own, 'davy-server/cgroup.procs'), 'utf8'), '7');
    assert.equal(readFileSync(join(own, 'cgroup.subtree_control'), 'utf8'), '+memory +pids +cpu');
  });

  test('of version 2 are found again by a server that has moved into its leaf, and swept of what dead ones left', async () => {
    const root = machine({
      'proc/self/cgroup': '0::/davy.service/davy-server\n',
      'proc/self/mountinfo': '1 0 0:1 / /cg rw - cgroup2 cgroup2 rw',
      'cg/davy.service/cgroup.controllers': 'memory\n',
    });
    const own = join(root, 'cg/davy.service');
    mkdirSync(join(own, 'davy-1073741824-3'));
    mkdirSync(join(own, `davy-${process.pid}-3`));
    assert.deepEqual([...(findCgroups(root, 7)?.roots.values() ?? [])], [own]);
    for (let waited = 0; existsSync(join(own, 'davy-1073741824-3')) && waited < 100; waited += 1) await setImmediate();
    assert.deepEqual(
      [existsSync(join(own, 'davy-1073741824-3')), existsSync(join(own, `davy-${process.pid}-3`))],
      [false, true],
    );
  });

  test('are absent where nothing is delegated', () => {
    const root = machine({
      'proc/self/cgroup': '0::/\n',
      'proc/self/mountinfo': '1 0 0:1 / /cg rw - cgroup2 cgroup2 rw',
      'cg/cgroup.controllers': '\n',
    });
    assert.equal(findCgroups(root, 7), null);
  });

  test('of a container lie under the part of the hierarchy that is mounted', () => {
    const root = machine({
      'proc/self/cgroup': '0::/docker/abc/davy\n',
      'proc/self/mountinfo': '1 0 0:1 /docker/abc /cg rw - cgroup2 cgroup2 rw',
      'cg/davy/cgroup.controllers': 'memory\n',
    });
    assert.deepEqual([...(findCgroups(root, 7)?.roots.values() ?? [])], [join(root, 'cg/davy')]);
  });

  test('of a worker hold its limits', () => {
    const root = machine({ 'cg/x': '' });
    const own = join(root, 'cg');
    const name = join(own, `davy-${process.pid}-77`);
    mkdirSync(name);
    for (const file of ['memory.max', 'pids.max', 'cpu.max']) writeFileSync(join(name, file), '');
    writeFileSync(join(name, 'memory.events'), 'oom 3\noom_kill 2\n');
    const roots = new Map((['memory', 'pids', 'cpu'] as const).map((controller) => [controller, own]));
    const group = makeWorkerCgroup({ version: 2, roots }, 77, LIMITS);
    assert.equal(readFileSync(join(name, 'memory.max'), 'utf8'), String(LIMITS.memoryBytes));
    assert.equal(readFileSync(join(name, 'pids.max'), 'utf8'), String(LIMITS.tasks));
    assert.equal(readFileSync(join(name, 'cpu.max'), 'utf8'), '150000 100000');
    assert.deepEqual(group.entrances, [join(name, 'cgroup.procs')]);
    assert.equal(group.oomKills(), 2);
  });
});

function machine(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'davy-cgroup-'));
  folders.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

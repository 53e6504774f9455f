import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { buildZip } from '../../../test/attack/archives.ts';
import { DEFAULT_CONTAINER_LIMITS as LIMITS } from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { Quarantine } from '../models/quarantine.ts';
import { AdmissionThreads } from './admission-threads.ts';

const { signal } = new AbortController();

test('a thread unpacks, describes and inspects, and keeps the codes of faults', async () => {
  const root = await mkdtemp(join(tmpdir(), 'davy-threads-'));
  await using threads = new AdmissionThreads();
  try {
    const bytes = buildZip([
      { name: 'MAR-INF/MANIFEST.json', data: '{"model":{"modelName":"m","handler":"h.py"},"runtime":"python"}' },
      { name: 'h.py', data: 'import os' },
    ]);
    await writeFile(join(root, 'm.mar'), bytes);
    await using handle = await open(join(root, 'm.mar'));
    await using quarantine = await Quarantine.create(root);
    const job = { fd: handle.fd, size: bytes.length, dir: quarantine.dir, limits: LIMITS } as const;
    const unpacked = await threads.run({ kind: 'unpack', fileName: 'm.mar', ...job }, signal);
    assert.equal(unpacked.digest, createHash('sha256').update(bytes).digest('hex'));
    quarantine.adopt(unpacked.files, unpacked.directories);
    const { manifest } = await threads.run({ kind: 'describe', files: storedNames(quarantine) }, signal);
    assert.equal(manifest.modelName, 'm');
    const findings = await threads.inspect(quarantine.files, signal);
    assert.deepEqual(
      findings.map(({ code, member }) => [code, member]),
      [['python_code', 'h.py']],
    );
    await assert.rejects(
      threads.run({ kind: 'unpack', fileName: 'm.tar.gz', ...job }, signal),
      (thrown) => thrown instanceof Fault && thrown.code === 'archive_refused',
    );
    await assert.rejects(
      threads.run({ kind: 'copy', path: join(root, 'absent'), dir: quarantine.dir, limits: LIMITS }, signal),
      (thrown) => thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT',
    );
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

test('a caller that gives up ends the thread in the middle of its work', async () => {
  const root = await mkdtemp(join(tmpdir(), 'davy-threads-'));
  await using threads = new AdmissionThreads();
  try {
    // Sparse: seconds of reading, no disk.
    await mkdir(join(root, 'model'));
    await writeFile(join(root, 'model', 'large'), '');
    await truncate(join(root, 'model', 'large'), 2 ** 32);
    await using quarantine = await Quarantine.create(root);
    const caller = new AbortController();
    const work = threads.run(
      { kind: 'copy', path: join(root, 'model'), dir: quarantine.dir, limits: LIMITS },
      caller.signal,
    );
    const outcome = assert.rejects(work, /given up/);
    while ((await readdir(join(quarantine.dir, 'files'))).length === 0) await setImmediate();
    caller.abort(new Error('given up'));
    await outcome;
    const written = await stat(join(quarantine.dir, 'files', 'large'));
    await setImmediate();
    assert.equal((await stat(join(quarantine.dir, 'files', 'large'))).size, written.size);
    assert.ok(written.size < 2 ** 32);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

const storedNames = ({ files }: Quarantine) => files.map(({ name, path, size }) => ({ name, path, size }));

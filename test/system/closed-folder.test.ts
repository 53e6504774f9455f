// A root server whose files lie in a folder that nobody else may enter: a worker's uid reads them, and they stay as they are.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { chain } from '../../src/workers/cage/root-chain.ts';

const WORKER_UID = 64_998;
const canUnshare = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0;
const skip = canUnshare ? false : 'only a root server with private mounts does it: NOT TESTED';

test(
  'a worker reads what lies in a closed folder, a file wanted together with its folder included',
  { skip },
  async () => {
    const closed = await mkdtemp(join(tmpdir(), 'davy-closed-'));
    try {
      const folder = join(closed, 'davy', 'python');
      const file = join(folder, 'worker', 'cage.py');
      await mkdir(join(folder, 'worker'), { recursive: true });
      await writeFile(file, 'the code of the cage');
      await writeFile(join(closed, 'secret'), 'not for workers');
      const paths = [folder, file, join(closed, 'davy')];
      for (const wanted of [paths.slice(0, 2), paths.slice(0, 2).toReversed(), paths]) {
        const look = `cat ${file}; ls ${closed}; id -u`;
        const command = chain({ uid: WORKER_UID, canUnshare, paths: wanted, cgroupEntrances: [] }, [
          '/bin/sh',
          '-c',
          look,
        ]);
        const { stdout } = await promisify(execFile)(command[0]!, command.slice(1));
        assert.equal(stdout, `the code of the cagedavy\n${WORKER_UID}\n`);
        assert.equal(await readFile(file, 'utf8'), 'the code of the cage');
        assert.deepEqual((await readdir(closed)).toSorted(), ['davy', 'secret']);
      }
    } finally {
      await rm(closed, { recursive: true });
    }
  },
);

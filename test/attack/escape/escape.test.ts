// Nothing gets out: a hostile handler tries every attack at every level, as root's worker and as an ordinary user's.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { defaultLimits, type IsolationLevel } from '../../../src/policy/index.ts';
import { measureTree } from '../../../src/workers/cage/process-tree.ts';
import { createCage, spawnCaged } from '../../../src/workers/index.ts';
import { eventually } from '../../support/eventually.ts';
import type { EscapeReport } from './run-escape.ts';
import { HostileWorker, writeHostileModel } from './hostile-worker.ts';

const run = promisify(execFile);
const PYTHON = '/usr/bin/python3';
const IS_ROOT = process.getuid?.() === 0;
/** Belongs to nobody: an ordinary user without a name. */
const ORDINARY_UID = '64999';
const TIMEOUT_MS = 120_000;

/** Attacks that no level lets through, not even `none`: guards against regressions rather than proof. */
const GUARDS = {
  F11: 'descriptors are covered at every level',
  P03: 'the environment is an allowlist at every level',
  K10: 'a worker has no terminal',
  K11: 'this kernel may be built without x32',
};
/** What only root can do, caged or not. */
const NEEDS_ROOT = [
  ...['F05', 'F06', 'F09', 'F10', 'F13', 'F14', 'F15', 'F20', 'P10', 'P14', 'P21'],
  ...['N06', 'K02', 'K07', 'K08', 'K18', 'K19'],
];

const LEVELS = ['strict', 'process'] as const;

const whyNot = await missing();

describe('a hostile handler', { skip: whyNot }, () => {
  for (const who of IS_ROOT ? (['root', 'user'] as const) : (['user'] as const)) {
    for (const level of LEVELS) {
      test(`stays inside at ${level}, started by ${who}`, { timeout: TIMEOUT_MS }, async () => {
        const report = await attack(level, who);
        assert.ok(Object.keys(report).length > 80);
        assert.deepEqual(hits(report), {});
      });

      test(
        `stays inside at ${level}, started by ${who}, when it is written for Node`,
        { timeout: TIMEOUT_MS },
        async () => {
          const report = await attack(level, who, 'node');
          assert.ok(Object.keys(report).length > 15);
          assert.deepEqual(hits(report), {});
        },
      );
    }

    for (const runtime of ['python', 'node'] as const) {
      test(
        `gets everything at none, started by ${who}: the attacks in ${runtime} are real`,
        { timeout: TIMEOUT_MS },
        async () => {
          const report = await attack('none', who, runtime);
          const expected = Object.keys(report)
            .filter((id) => !(id in GUARDS) && !(who === 'user' && NEEDS_ROOT.includes(id)))
            // x86 has gates that arm64 has not.
            .filter((id) => process.arch === 'x64' || !['K12', 'K14'].includes(id));
          assert.deepEqual(
            expected.filter((id) => !(id in hits(report))),
            [],
          );
        },
      );
    }
  }
});

describe('what a worker leaves behind', { skip: whyNot }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'davy-left-'));
  chmodSync(folder, 0o755);
  const model = join(folder, 'model');
  after(() => rmSync(folder, { recursive: true, force: true }));
  const limits = defaultLimits({ memoryBytes: 2 ** 31, artifactBytes: 0, threads: 1 });

  for (const level of LEVELS) {
    test(`at ${level}: an orphan in a session of its own dies with it`, { timeout: TIMEOUT_MS }, async () => {
      writeHostileModel(model);
      const worker = new HostileWorker(await createCage({ level }), model, limits, PYTHON);
      await worker.loaded;
      const alone = members(worker.pid);
      const watched = measureTree(worker.pid).tasks;
      assert.deepEqual(await worker.ask({ orphan: true }), { kind: 'answer', text: 'left' });
      const together = members(worker.pid);
      assert.equal(together.length, alone.length + 1);
      assert.ok(measureTree(worker.pid).tasks > watched, 'nobody watches the orphan');
      await worker.end();
      // The kernel ends a namespace's processes one after another; on a busy machine that takes its time.
      await eventually('they all end', () => !together.some(isAlive));
    });

    test(
      `at ${level}: nothing, when the server is killed before it can say goodbye`,
      { timeout: TIMEOUT_MS },
      async () => {
        writeHostileModel(model);
        const server = spawn(process.execPath, [join(import.meta.dirname, 'run-idle.ts'), level, model], {
          stdio: ['ignore', 'pipe', 'inherit'],
          // What it cannot remove any more goes with this test's folder.
          env: { PATH: process.env['PATH'] ?? '', TMPDIR: folder },
        });
        const [line] = (await once(server.stdout, 'data')) as [Buffer];
        const worker = members(Number(String(line).trim()));
        assert.ok(worker.length > 0 && worker.every(isAlive));
        server.kill('SIGKILL');
        await once(server, 'exit');
        // At "process" a child may stay until the next server is there.
        if (level === 'process') await inFolder(folder, level);
        await eventually('they all end', () => !worker.some(isAlive));
      },
    );

    test(
      `at ${level}: a link in its temporary folder is not followed when that is removed`,
      { timeout: TIMEOUT_MS },
      async () => {
        writeHostileModel(model);
        const worker = new HostileWorker(await createCage({ level }), model, limits, PYTHON);
        await worker.loaded;
        assert.deepEqual(await worker.ask({ link: folder }), { kind: 'answer', text: 'left' });
        await worker.end();
        assert.ok(existsSync(join(model, 'weights.bin')));
      },
    );

    test(`at ${level}: no file, however it hides them`, { timeout: TIMEOUT_MS }, async () => {
      writeHostileModel(model);
      const worker = new HostileWorker(await createCage({ level }), model, limits, PYTHON);
      await worker.loaded;
      const answer = await worker.ask({ hide: true });
      assert.ok(answer.kind === 'answer', JSON.stringify(answer));
      await worker.end();
      assert.equal(existsSync(answer.text), level === 'strict' && answer.text === '/tmp');
    });

    test(
      `at ${level}: sees the folder that was admitted, whatever its name has come to mean since`,
      { timeout: TIMEOUT_MS },
      async () => {
        writeHostileModel(model);
        const [moved, decoy] = [join(folder, 'moved'), join(folder, 'decoy')];
        mkdirSync(decoy);
        writeFileSync(join(decoy, 'weights.bin'), 'decoy');
        chmodSync(decoy, 0o755);
        const cage = await createCage({ level });
        const command = await cage.wrap({ ...IDLE, args: ['-c', READ_WEIGHTS], modelDir: model, limits });
        renameSync(model, moved);
        symlinkSync(decoy, model);
        try {
          const child = spawnCaged(command);
          const said = await text(child.stdio[3] as Readable);
          assert.ok(said === 'weights' || said === '', said);
        } finally {
          await command.dispose();
          rmSync(model);
          rmSync(moved, { recursive: true });
          rmSync(decoy, { recursive: true });
        }
      },
    );
  }
});

/** Looks at the machine as a server does that uses this folder for temporary files. */
async function inFolder(folder: string, level: IsolationLevel): Promise<void> {
  const env = { PATH: process.env['PATH'] ?? '', TMPDIR: folder };
  await run(process.execPath, [join(import.meta.dirname, 'try-level.ts'), level, PYTHON], { env, timeout: TIMEOUT_MS });
}

const IDLE = {
  file: PYTHON,
  env: {},
  runtime: 'python',
  readOnlyPaths: [],
  threads: 1,
  gpuId: null,
} as const;
/** By the name that a worker is told, and by the folder that it was started in. */
const READ_WEIGHTS = `
import os
for path in (os.getcwd() + "/weights.bin", "weights.bin", "/model/weights.bin"):
    try:
        os.write(3, open(path, "rb").read())
        break
    except OSError:
        pass
`;

async function attack(
  level: IsolationLevel,
  who: 'root' | 'user',
  runtime: 'python' | 'node' = 'python',
): Promise<EscapeReport> {
  const command = [process.execPath, join(import.meta.dirname, 'run-escape.ts'), level, PYTHON, runtime];
  const become = ['setpriv', '--reuid', ORDINARY_UID, '--regid', ORDINARY_UID, '--clear-groups'];
  const [file = '', ...args] = who === 'user' && IS_ROOT ? [...become, ...command] : command;
  const env = { PATH: process.env['PATH'] ?? '', SERVER_SECRET: 'hunter2' };
  const { stdout } = await run(file, args, { timeout: TIMEOUT_MS, env });
  return JSON.parse(stdout) as EscapeReport;
}

const hits = (report: EscapeReport): Record<string, unknown> =>
  Object.fromEntries(Object.entries(report).filter(([, evidence]) => evidence !== null));

/** Processes below a worker's first one, and those of its group that have another parent by now. */
function members(root: number): readonly number[] {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const [, parent, group] = / \S (\d+) (\d+)/.exec(statOf(Number(name)).replace(/^.*\)/, ' ')) ?? [];
      return group === undefined ? [] : [{ pid: Number(name), parent: Number(parent), group: Number(group) }];
    });
  const found = new Set([root]);
  for (let size = 0; size !== found.size;) {
    size = found.size;
    for (const { pid, parent, group } of processes) if (found.has(parent) || group === root) found.add(pid);
  }
  return [...found];
}

/** A zombie is dead: whoever should reap it may be slow. */
const isAlive = (pid: number): boolean => {
  const stat = statOf(pid);
  return stat !== '' && !/\) Z /.test(stat);
};

function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return '';
  }
}

/** What this machine lacks for the suite to mean anything; false when it lacks nothing. */
async function missing(): Promise<string | false> {
  if (process.platform !== 'linux' || !existsSync(PYTHON)) return 'needs Linux and /usr/bin/python3';
  if (IS_ROOT && !isOpenToAll(import.meta.dirname)) return 'this checkout lies where an ordinary user cannot read it';
  for (const level of LEVELS) {
    try {
      await createCage({ level });
    } catch (error) {
      return (error as Error).message;
    }
  }
  return false;
}

function isOpenToAll(folder: string): boolean {
  if ((statSync(folder).mode & 0o005) !== 0o005) return false;
  return folder === '/' || isOpenToAll(dirname(folder));
}

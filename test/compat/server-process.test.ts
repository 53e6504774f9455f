// `torchserve --start` and `--stop` with every flag (surface spec 7.1), and `ts.launcher`, which scripts import.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, afterEach, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exchange } from '../support/http-exchange.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { freePorts } from '../support/real-server.ts';
import { TEST_ISOLATION } from '../support/test-isolation.ts';
import { behaviour } from './behaviour.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const BIN = join(ROOT, 'bin', 'torchserve');
const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';
const WAIT_MS = 30_000;
const RUNNING = 'TorchServe is already running, please use torchserve --stop to stop TorchServe.\n';

describe('torchserve as a process', () => {
  let store: TestStore;
  let dir = '';
  let base = '';
  let ports: number[] = [];
  const started: ChildProcess[] = [];
  const pidFile = (): string => join(dir, '.model_server.pid');

  before(async () => {
    store = makeModelStore();
    store.addArchive('first.mar', 'first', NOOP);
    store.addArchive('second.mar', 'second', NOOP);
    dir = mkdtempSync(join(tmpdir(), 'davy-process-'));
    for (const folder of ['other-store', 'workflows', 'plugins', 'bin', 'logs-of-another'])
      mkdirSync(join(dir, folder));
    ports = await freePorts(2);
    base = `http://127.0.0.1:${ports[1]}`;
    writeFileSync(join(dir, 'ts.properties'), settings().join('\n'));
    writeFileSync(join(dir, 'log.xml'), '<Configuration/>');
    writeFileSync(join(dir, 'cpp.config'), '');
    writeFileSync(join(dir, 'bin', 'torchserve'), `#!/bin/sh\nexec "${process.execPath}" "${BIN}" "$@"\n`);
    chmodSync(join(dir, 'bin', 'torchserve'), 0o755);
  });
  afterEach(async () => {
    // What a failed test left behind.
    const pid = existsSync(pidFile()) ? Number(readFileSync(pidFile(), 'utf8')) : 0;
    if (pid > 0 && isOurs(pid)) process.kill(pid, 'SIGKILL');
    rmSync(pidFile(), { force: true });
    const alive = started.splice(0).filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    await Promise.all(alive.map((child) => once(child, 'exit')));
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const settings = (): string[] => [
    `inference_address=http://127.0.0.1:${ports[0]}`,
    `management_address=${base}`,
    'enable_metrics_api=false',
    'disable_system_metrics=true',
    'grpc_enabled=false',
    `isolation=${TEST_ISOLATION}`,
    `python=${PYTHON}`,
    'default_workers_per_model=1',
    `state_dir=${join(dir, 'state')}`,
    `model_store=${join(dir, 'other-store')}`,
    'load_models=nothing.mar',
    '',
  ];
  /** The test's own server: its working directory is ours. */
  const isOurs = (pid: number): boolean => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TMPDIR=${dir}\0`);
    } catch {
      return false;
    }
  };
  const environment = (): Record<string, string> => ({
    PATH: [join(dir, 'bin'), process.env['PATH'] ?? ''].join(delimiter),
    HOME: dir,
    TMPDIR: dir,
    PYTHONPATH: join(ROOT, 'python'),
  });

  interface Run {
    readonly exited: Promise<number | null>;
    /** The end of its output: of a launcher, of the server behind it too. */
    readonly closed: Promise<number | null>;
    output(): string;
    until(pattern: RegExp): Promise<void>;
    readonly child: ChildProcess;
  }
  const run = (file: string, args: readonly string[], env: Record<string, string> = {}, cwd = dir): Run => {
    const child = spawn(file, args, { cwd, env: { ...environment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    started.push(child);
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    }
    return {
      child,
      exited: once(child, 'exit').then(([code]) => code as number | null),
      closed: once(child, 'close').then(([code]) => code as number | null),
      output: () => text,
      until: async (pattern) => {
        const deadline = performance.now() + WAIT_MS;
        while (!pattern.test(text) && !child.stdout.closed && performance.now() < deadline) await sleep(20);
        assert.match(text, pattern);
      },
    };
  };
  const torchserve = (...args: string[]): Run => run(process.execPath, [BIN, ...args]);
  /** A server that stays with its caller, with further flags, once it serves. */
  const serve = async (...flags: string[]): Promise<Run> => {
    const server = torchserve('--foreground', '--ts-config', 'ts.properties', '--model-store', store.dir, ...flags);
    await server.until(/^Model server started\.$/m);
    return server;
  };
  const stops = async (server: Run): Promise<void> => {
    await says(['--stop'], 0, 'TorchServe has stopped.\n');
    await server.closed;
  };
  const says = async (args: readonly string[], status: number, text: string): Promise<void> => {
    const command = torchserve(...args);
    assert.deepEqual([await command.closed, command.output()], [status, text]);
  };

  behaviour(
    '7.1',
    'same',
    '--start returns at once, the server speaks on its stdout, and .model_server.pid has its number until --stop',
    async () => {
      const start = ['--start', '--ts-config', 'ts.properties', '--model-store', store.dir, '--ncs'];
      const launcher = torchserve(...start);
      assert.equal(await launcher.exited, 0);
      const pid = readFileSync(pidFile(), 'utf8');
      assert.match(pid, /^\d+$/);
      assert.ok(isOurs(Number(pid)));
      await launcher.until(/^Model server started\.$/m);
      // The console's log lines come the same way.
      await exchange(`${base}/models`);
      await launcher.until(/ACCESS_LOG - .*"GET \/models HTTP\/1\.1" 400/);

      await says(start, 1, RUNNING);
      await says(['--stop'], 0, 'TorchServe has stopped.\n');
      assert.equal(existsSync(pidFile()), false);
      await says(['--stop'], 0, 'TorchServe is not currently running.\n');
      await launcher.closed;
    },
  );

  behaviour(
    '7.1',
    'same',
    'every flag: start is the default action, flags beat the file, and --stop --foreground ends without a word',
    async () => {
      const all = [
        ...['--ts-config', 'ts.properties', '--model-store', store.dir, '--workflow-store', 'workflows'],
        ...['--models', 'first.mar', 'mine=second.mar', '--log-config', 'log.xml', '--cpp-log-config', 'cpp.config'],
        ...['--foreground', '--ncs', '--ppath', 'plugins', '--dt', '--enable-model-api'],
      ];
      const server = torchserve(...all);
      await server.until(/^Model server started\.$/m);
      assert.equal(server.child.exitCode, null, '--foreground stays');
      for (const line of [
        `Model Store: ${store.dir}`,
        `Workflow Store: ${join(dir, 'workflows')}`,
        'Initial Models: first.mar,mine=second.mar',
        'Model API enabled: true',
        'CPP log config: cpp.config',
        'Config file: ts.properties',
      ]) {
        assert.ok(server.output().includes(` - ${line}\n`), `${line}\n${server.output().slice(0, 4000)}`);
      }
      // Without a key: --dt.
      const listed = (await exchange(`${base}/models`)).json<{ models: { modelName: string }[] }>();
      assert.deepEqual(
        listed.models.map(({ modelName }) => modelName),
        ['first', 'mine'],
      );
      assert.equal((await exchange(`${base}/models/mine`, { method: 'DELETE' })).status, 200);
      await says(['--stop', '--foreground'], 0, '');
      assert.equal(await server.closed, 0);
      assert.equal(existsSync(join(dir, 'logs', 'config')), false, '--ncs writes no snapshot');
    },
  );

  behaviour(
    '7.1',
    'same',
    'the long spellings of --ncs, --ppath and --dt, and --models all, mean the same',
    async () => {
      const long = ['--no-config-snapshots', '--plugins-path', 'plugins', '--disable-token-auth', '--models', 'all'];
      const server = torchserve('--foreground', '--ts-config=ts.properties', `--model-store=${store.dir}`, ...long);
      await server.until(/^Model server started\.$/m);
      const listed = (await exchange(`${base}/models`)).json<{ models: unknown[] }>();
      assert.equal(listed.models.length, 2);
      server.child.kill('SIGTERM');
      assert.equal(await server.closed, 0);
      assert.equal(existsSync(pidFile()), false);
    },
  );

  behaviour(
    '7.1',
    'same',
    'a pid file whose server is gone: --stop says already stopped, --start removes the orphan and starts',
    async () => {
      // Nobody has this number: pids end at 2 to the 22nd.
      writeFileSync(pidFile(), '4194999');
      await says(['--stop'], 0, 'TorchServe already stopped.\n');
      assert.equal(existsSync(pidFile()), false);

      const server = await serve('--ncs');
      server.child.kill('SIGKILL');
      await server.closed;
      assert.ok(existsSync(pidFile()), 'a killed server removes nothing');
      const again = await serve('--ncs');
      assert.match(again.output(), /^Removing orphan pid file\.$/m);
      await stops(again);
    },
  );

  behaviour(
    '7.1',
    'stricter',
    'a pid file that names another program is stale: --stop signals nobody but a server of ours',
    async () => {
      const bystander = run(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      writeFileSync(pidFile(), String(bystander.child.pid));
      await says(['--stop'], 0, 'TorchServe already stopped.\n');
      assert.equal(bystander.child.exitCode ?? bystander.child.signalCode, null);
      bystander.child.kill('SIGKILL');
      await bystander.closed;
    },
  );

  behaviour('7.1', 'same', 'a second server on ports that are taken fails to bind, says where, and ends', async () => {
    const first = await serve('--ncs');
    // Another temporary directory, so that the pid file is not in the way, and everything else of its own but the ports.
    const other = join(dir, 'logs-of-another');
    writeFileSync(join(other, 'ts.properties'), [...settings(), `state_dir=${join(other, 'state')}`, ''].join('\n'));
    const flags = ['--foreground', '--ts-config', 'ts.properties', '--model-store', store.dir, '--ncs'];
    const second = run(process.execPath, [BIN, ...flags], { TMPDIR: other }, other);
    assert.equal(await second.closed, 1, second.output());
    assert.match(second.output(), new RegExp(`Failed to bind to address: \\S*127\\.0\\.0\\.1:${ports[0]}`));
    assert.equal(first.child.exitCode, null);
    assert.equal((await exchange(`http://127.0.0.1:${ports[0]}/ping`)).status, 200);
    await stops(first);
  });

  behaviour(
    '7.1',
    'same',
    'ts.launcher starts a server, registers a model, hands over the later lines of its log, and stops it',
    async () => {
      const script = `
import sys
from ts import launcher
launcher.MANAGEMENT = sys.argv[1]
lines = launcher.start(model_store=sys.argv[2], snapshot_file="ts.properties", no_config_snapshots=True, disable_token=True)
answer = launcher.register_model("first")
print("registered", answer.status_code, answer.json()["status"])
answer = launcher.register_model_with_params({"url": "none.mar"})
print("refused", answer.status_code)
while "ACCESS_LOG" not in (line := lines.get(timeout=30)):
    pass
print("logged", line.split("ACCESS_LOG - ")[1].split('"')[1].split("?")[0])
launcher.stop()
while lines.get(timeout=30) is not None:
    pass
print("stopped")
`;
      const python = run(PYTHON, ['-c', script, base, store.dir]);
      assert.equal(await python.closed, 0, python.output());
      const told = python
        .output()
        .split('\n')
        .filter((line) => /^(registered|refused|logged|stopped)/.test(line));
      assert.deepEqual(told, [
        'registered 200 Model "first" Version: 1.0 registered with 1 initial workers',
        'refused 404',
        'logged POST /models',
        'stopped',
      ]);
    },
  );
});

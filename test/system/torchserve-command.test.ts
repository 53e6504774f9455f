// `torchserve --start` and `--stop` as scripts use them: a real server without ports, detached from its launcher.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDavyServer } from '../../src/app/cli/pid-file.ts';
import { stopServer } from '../../src/app/cli/stop.ts';

const BIN = join(import.meta.dirname, '../../bin');

test('torchserve --start returns while its server runs on, and --stop ends it and takes the keys away', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'davy-ts-'));
  const pidFile = join(dir, '.model_server.pid');
  try {
    mkdirSync(join(dir, 'store'));
    writeFileSync(join(dir, 'ts.properties'), configuration(dir));
    const start = ['--start', '--ts-config', 'ts.properties', '--model-store', 'store', '--ncs'];

    const launcher = launch(dir, 'torchserve', start);
    assert.equal(await launcher.exitCode, 0);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await launcher.until('Model server started.');
    assert.ok(isDavyServer(pid));
    assert.ok(existsSync(join(dir, 'key_file.json')));

    const second = launch(dir, 'torchserve', start);
    assert.equal(await second.closed, 1);
    assert.equal(second.output(), 'TorchServe is already running, please use torchserve --stop to stop TorchServe.\n');

    const status = launch(dir, 'davy', ['status', '--inference', `unix:${dir}/i`, '--management', `unix:${dir}/m`]);
    assert.equal(await status.closed, 0);

    const stop = launch(dir, 'torchserve', ['--stop']);
    assert.equal(await stop.closed, 0);
    assert.equal(stop.output(), 'TorchServe has stopped.\n');
    assert.ok(!isDavyServer(pid));
    assert.ok(!existsSync(pidFile));
    assert.ok(!existsSync(join(dir, 'key_file.json')));
  } finally {
    if (existsSync(pidFile)) {
      const pid = Number(readFileSync(pidFile, 'utf8'));
      if (isDavyServer(pid)) process.kill(pid, 'SIGKILL');
    }
    rmSync(dir, { recursive: true, force: true });
  }
});

test('a server that does not end in time keeps its pid file, and whoever stops it hears so', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'davy-stubborn-'));
  const pidFile = join(dir, '.model_server.pid');
  const program = 'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)';
  // To the eye of the pid file this is `node …/davy serve`.
  const stubborn = spawn(process.execPath, ['-e', program, '/x/bin/davy', 'serve'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(stubborn, 'close');
  try {
    await once(stubborn.stdout, 'data');
    writeFileSync(pidFile, String(stubborn.pid));
    assert.equal(await stopServer(pidFile, 200), 'too long');
    assert.ok(existsSync(pidFile));
    assert.equal(stubborn.exitCode, null);
  } finally {
    stubborn.kill('SIGKILL');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  }
});

const configuration = (dir: string): string => `
inference_address=unix:${dir}/i
management_address=unix:${dir}/m
enable_metrics_api=false
disable_system_metrics=true
grpc_enabled=false
isolation=none
state_dir=${dir}/state
`;

/** Runs one of the commands in `dir`; the pipe stays open for as long as a server holds it. */
function launch(dir: string, name: string, args: readonly string[]) {
  const env = { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir };
  const child = spawn(process.execPath, [join(BIN, name), ...args], {
    cwd: dir,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return {
    /** A launcher ends before its pipe does; every other command is over when its output is complete. */
    exitCode: once(child, 'exit').then(([code]) => code as number | null),
    closed: once(child, 'close').then(([code]) => code as number | null),
    output: () => text,
    until: async (line: string): Promise<void> => {
      while (!text.includes(`${line}\n`)) {
        assert.ok(!child.stdout.closed, `ended without ${line}:\n${text}`);
        await Promise.race([once(child.stdout, 'data'), once(child.stdout, 'close')]);
      }
    },
  };
}

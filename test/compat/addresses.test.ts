// Where the server listens, and what it says when it cannot (surface spec 1.1, 1.2, 1.4, 1.5).
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { startCompatServer } from '../support/compat-server.ts';
import { exchange } from '../support/http-exchange.ts';
import { makeModelStore, NOOP } from '../support/model-store.ts';
import { freePorts } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin');

describe('the addresses', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-addresses-'));
    mkdirSync(join(dir, 'store'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const run = (program: string, args: readonly string[]): Promise<{ status: number; stdout: string }> =>
    new Promise((resolve) => {
      const env = { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir };
      const options = { cwd: dir, env, timeout: 30_000 };
      const child = execFile(process.execPath, [join(BIN, program), ...args], options, (_error, stdout) =>
        resolve({ status: child.exitCode ?? -1, stdout }),
      );
    });
  let files = 0;
  /** What `torchserve` says on stdout about a configuration that it refuses, without `Invalid configuration: `. */
  const refusal = async (lines: readonly string[]): Promise<string> => {
    const file = join(dir, `${(files += 1)}.properties`);
    writeFileSync(file, [...lines, 'disable_token_authorization=true', ''].join('\n'));
    const start = ['--start', '--foreground', '--ncs', '--model-store', 'store', '--ts-config', file];
    const { status, stdout } = await run('torchserve', start);
    assert.equal(status, 1, stdout);
    return /^Invalid configuration: (.*)$/m.exec(stdout)?.[1] ?? stdout;
  };
  const refusals = (cases: readonly (readonly string[])[]): Promise<string[]> => Promise.all(cases.map(refusal));

  behaviour('1.1', 'same', 'without settings: 8080, 8081, 8082, gRPC 7070 and 7071, all on loopback', async () => {
    const { stdout } = await run('davy', ['config', '--json', '--model-store', 'store']);
    const { settings } = JSON.parse(stdout) as { settings: { key: string; value: string }[] };
    const values = new Map(settings.map(({ key, value }) => [key, value]));
    assert.deepEqual(
      [
        'inference_address',
        'management_address',
        'metrics_address',
        'grpc_inference_address',
        'grpc_inference_port',
        'grpc_management_address',
        'grpc_management_port',
        'enable_metrics_api',
        'enable_grpc_ssl',
      ].map((key) => values.get(key)),
      [
        'http://127.0.0.1:8080',
        'http://127.0.0.1:8081',
        'http://127.0.0.1:8082',
        '127.0.0.1',
        '7070',
        '127.0.0.1',
        '7071',
        'true',
        'false',
      ],
    );
  });

  behaviour(
    '1.2',
    'same',
    'a trailing slash, a path, an IPv6 literal or no scheme is Invalid binding address: …, and status 1',
    async () => {
      const bad = ['http://127.0.0.1:8080/', 'http://127.0.0.1/x', 'http://[::1]:8080', '127.0.0.1:8080', 'unix:x'];
      const lines = [
        ...bad.map((value) => ['inference_address', value] as const),
        ['management_address', 'ftp://127.0.0.1:21'] as const,
        ['metrics_address', '8082'] as const,
      ];
      assert.deepEqual(
        await refusals(lines.map(([key, value]) => [`${key}=${value}`])),
        lines.map(([, value]) => `Invalid binding address: ${value}`),
      );
    },
  );

  behaviour('1.2', 'same', 'a port of 65535 or more is Invalid port number: …', async () => {
    const bad = ['http://127.0.0.1:65535', 'http://127.0.0.1:70000'];
    assert.deepEqual(
      await refusals(bad.map((value) => [`inference_address=${value}`])),
      bad.map((value) => `Invalid port number: ${value}`),
    );
  });

  behaviour('1.2', 'same', 'a unix socket without native I/O is refused in the reference’s words', async () => {
    assert.equal(
      await refusal([`inference_address=unix:${join(dir, 'i.sock')}`, 'use_native_io=false']),
      'unix domain socket requires use_native_io set to true.',
    );
  });

  behaviour('1.2', 'same', 'an address without a port has the port of its listener and scheme', async () => {
    // Two listeners of one address are told apart by nothing but the port that is meant.
    const other = 'http://127.0.0.1:9';
    const cases = [
      ['inference_address=http://127.0.0.1', `management_address=${other}`, 'metrics_address=http://127.0.0.1:80'],
      ['inference_address=https://127.0.0.1', `management_address=${other}`, 'metrics_address=https://127.0.0.1:443'],
      [`inference_address=${other}`, 'management_address=http://127.0.0.1', 'metrics_address=http://127.0.0.1:8081'],
      [`inference_address=${other}`, 'management_address=https://127.0.0.1', 'metrics_address=https://127.0.0.1:8444'],
      ['inference_address=http://127.0.0.1:8082', `management_address=${other}`, 'metrics_address=http://127.0.0.1'],
      ['inference_address=https://127.0.0.1:8445', `management_address=${other}`, 'metrics_address=https://127.0.0.1'],
    ];
    for (const [at, text] of (await refusals(cases)).entries()) {
      assert.match(text, /^Failed to bind to address: https?:\/\/127\.0\.0\.1/, String(cases[at]));
    }
  });

  behaviour('1.4', 'same', 'a metrics address that another listener has is Failed to bind to address: …', async () => {
    const lines = [`inference_address=http://127.0.0.1:8`, 'management_address=http://127.0.0.1:9'];
    for (const port of [8, 9]) {
      const address = `http://127.0.0.1:${port}`;
      assert.equal(await refusal([...lines, `metrics_address=${address}`]), `Failed to bind to address: ${address}`);
    }
  });
});

describe('the start', () => {
  behaviour(
    '1.5',
    'same',
    'a model that cannot be loaded is one log line, and the server starts without it',
    async () => {
      using store = makeModelStore();
      store.add('noop', NOOP);
      const [port] = await freePorts(1);
      await using server = await startCompatServer({
        modelStore: store.dir,
        models: ['absent.mar', 'noop'],
        // The scheme is written in any letter case, and the host may be a name.
        config: [`inference_address=HTTP://localhost:${port}`],
      });
      await server.until(/Failed to load model: absent\.mar/);
      assert.deepEqual((await server.admin('/models')).json(), { models: [{ modelName: 'noop', modelUrl: 'noop' }] });
      assert.equal((await exchange(`http://localhost:${port}/predictions/noop`)).text, 'OK');
    },
  );

  behaviour('1.5', 'same', 'the ports open before the models are ready', async () => {
    using store = makeModelStore();
    store.add('late', 'import time\ntime.sleep(60)');
    await using server = await startCompatServer({ modelStore: store.dir, models: ['late'] });
    assert.deepEqual(
      (await server.view('late')).workers.map(({ status }) => status),
      ['UNLOADING'],
    );
    assert.equal((await server.infer('/ping')).status, 200);
  });
});

// Snapshots (surface spec 7.7) as scripts see them: files that `torchserve` leaves behind, and starts from.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exchange } from '../support/http-exchange.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { freePorts } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const TORCHSERVE = join(import.meta.dirname, '..', '..', 'bin', 'torchserve');
const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';
const WAIT_MS = 30_000;

interface Life extends AsyncDisposable {
  output(): string;
  admin(path: string, method?: string): Promise<{ readonly status: number; readonly text: string }>;
  /** The exit status; `torchserve --stop` is a SIGTERM too. */
  stop(): Promise<number | null>;
  /** The exit status of a server that ends by itself. */
  readonly ended: Promise<number | null>;
  /** SIGKILL, as a machine without power does it. */
  kill(): Promise<unknown>;
}

interface SnapshotVersion {
  readonly defaultVersion: boolean;
  readonly marName: string;
  readonly minWorkers: number;
}

describe('snapshots', () => {
  let store: TestStore;
  let dir = '';
  before(() => {
    store = makeModelStore();
    store.addArchive('first.mar', 'first', NOOP);
    store.addArchive('second.mar', 'second', NOOP);
    store.addArchive('newer.mar', 'first', NOOP, { model: { modelVersion: '2.0' } });
    dir = mkdtempSync(join(tmpdir(), 'davy-snapshots-'));
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const files = (): readonly string[] => {
    const folder = join(dir, 'logs', 'config');
    // One that is being written has another ending.
    const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.cfg')) : [];
    return names.toSorted();
  };
  const kinds = (): readonly string[] => files().map((name) => name.replace(/^\d{17}-/, ''));
  const clear = (): void => rmSync(join(dir, 'logs'), { recursive: true, force: true });

  /** One run of the server in `dir`, with a config.properties of the usual settings and these lines. */
  const live = async (lines: readonly string[] = [], flags: readonly string[] = []): Promise<Life> => {
    const [inference, management] = await freePorts(2);
    const settings = [
      `inference_address=http://127.0.0.1:${inference}`,
      `management_address=http://127.0.0.1:${management}`,
      'enable_metrics_api=false',
      'disable_system_metrics=true',
      'disable_token_authorization=true',
      'enable_model_api=true',
      'grpc_enabled=false',
      'isolation=none',
      `python=${PYTHON}`,
      `state_dir=${join(dir, 'state')}`,
      ...lines,
    ];
    writeFileSync(join(dir, 'config.properties'), `${settings.join('\n')}\n`, { mode: 0o600 });
    const child = spawn(
      process.execPath,
      [TORCHSERVE, '--start', '--foreground', '--model-store', store.dir, ...flags],
      {
        cwd: dir,
        env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    }
    const ended = once(child, 'close').then(([code]) => code as number | null);
    const deadline = performance.now() + WAIT_MS;
    while (!text.includes('Model server started.') && child.exitCode === null && performance.now() < deadline) {
      await sleep(20);
    }
    const stop = (): Promise<number | null> => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      return ended;
    };
    return {
      output: () => text,
      admin: (path, method = 'GET') => exchange(`http://127.0.0.1:${management}${path}`, { method }),
      stop,
      ended,
      kill: () => {
        child.kill('SIGKILL');
        return ended;
      },
      [Symbol.asyncDispose]: async () => void (await stop()),
    };
  };
  const names = async (life: Life): Promise<readonly string[]> =>
    (JSON.parse((await life.admin('/models')).text) as { models: { modelName: string }[] }).models.map(
      ({ modelName }) => modelName,
    );

  behaviour(
    '13.4',
    'same',
    'a start and a stop leave a startup and a shutdown snapshot, a registration one more, and the next start has its models',
    async () => {
      await using first = await live([], ['--models', 'first.mar']);
      assert.deepEqual(kinds(), ['startup.cfg'], first.output());
      assert.equal((await first.admin('/models?url=second.mar&batch_size=3', 'POST')).status, 200);
      const deadline = performance.now() + WAIT_MS;
      while (!kinds().includes('snapshot.cfg') && performance.now() < deadline) await sleep(20);
      assert.deepEqual(kinds(), ['startup.cfg', 'snapshot.cfg']);
      assert.equal(await first.stop(), 0);
      assert.deepEqual(kinds(), ['startup.cfg', 'snapshot.cfg', 'shutdown.cfg']);

      await using again = await live();
      assert.deepEqual(await names(again), ['first', 'second']);
      const [second] = JSON.parse((await again.admin('/models/second')).text) as { batchSize: number }[];
      assert.equal(second?.batchSize, 3);
    },
  );

  behaviour(
    '7.7',
    'same',
    'a snapshot has the properties and model_snapshot with every setting of every version',
    () => {
      const name = files().find((file) => file.endsWith('-snapshot.cfg')) ?? '';
      const text = readFileSync(join(dir, 'logs', 'config', name), 'latin1');
      assert.match(text, /^disable_system_metrics=true$/m);
      const line = /^model_snapshot=(.*)$/m.exec(text)?.[1] ?? '';
      const written = JSON.parse(line.replaceAll(/\\(.)/g, '$1')) as Record<string, unknown>;
      assert.deepEqual(Object.keys(written), ['name', 'modelCount', 'created', 'models']);
      assert.deepEqual([written['name'], written['modelCount']], [name, 2]);
      assert.ok(Math.abs(Number(written['created']) - Date.now()) < 600_000);
      const models = written['models'] as Record<string, Record<string, Record<string, unknown>>>;
      assert.deepEqual(models['second'], {
        '1.0': {
          defaultVersion: true,
          marName: 'second.mar',
          minWorkers: 0,
          maxWorkers: 0,
          batchSize: 3,
          maxBatchDelay: 100,
          responseTimeout: 120,
          startupTimeout: 120,
          runtimeType: 'python',
        },
      });
    },
  );

  behaviour(
    '7.7',
    'same',
    'scaling, a new default and unregistering leave a snapshot each, and a killed server comes back as it was last',
    async () => {
      clear();
      await using life = await live([], ['--models', 'first.mar', 'other=second.mar']);
      const change = async (path: string, method: string): Promise<Record<string, Record<string, SnapshotVersion>>> => {
        const before = files().length;
        const answer = await life.admin(path, method);
        assert.equal(answer.status, 200, answer.text);
        const deadline = performance.now() + WAIT_MS;
        while (files().length === before && performance.now() < deadline) await sleep(20);
        assert.match(files().at(-1) ?? '', /-snapshot\.cfg$/);
        const line = /^model_snapshot=(.*)$/m.exec(
          readFileSync(join(dir, 'logs', 'config', files().at(-1) ?? ''), 'latin1'),
        );
        return (JSON.parse(line?.[1]?.replaceAll(/\\(.)/g, '$1') ?? '{}') as { models: never }).models;
      };
      assert.equal(
        (await change('/models/first?min_worker=0&synchronous=true', 'PUT'))['first']?.['1.0']?.minWorkers,
        0,
      );
      assert.deepEqual(Object.keys(await change('/models/other', 'DELETE')), ['first']);
      assert.deepEqual(Object.keys((await change('/models?url=newer.mar&model_name=first', 'POST'))['first'] ?? {}), [
        '1.0',
        '2.0',
      ]);
      const models = await change('/models/first/2.0/set-default', 'PUT');
      assert.deepEqual(
        Object.entries(models['first'] ?? {}).map(([version, entry]) => [version, entry.marName, entry.defaultVersion]),
        [
          ['1.0', 'first.mar', false],
          ['2.0', 'newer.mar', true],
        ],
      );
      await life.kill();

      await using again = await live();
      const versions = JSON.parse((await again.admin('/models/first/all')).text) as Record<string, unknown>[];
      assert.deepEqual(
        versions.map((view) => [view['modelVersion'], view['minWorkers'], view['modelUrl']]).toSorted(),
        [
          ['1.0', 0, 'first.mar'],
          ['2.0', 0, 'newer.mar'],
        ],
      );
      const [byDefault] = JSON.parse((await again.admin('/models/first')).text) as Record<string, unknown>[];
      assert.equal(byDefault?.['modelVersion'], '2.0');
    },
  );

  behaviour(
    '7.7',
    'stricter',
    'a snapshot of TorchServe is continued, except for its security keys: those come from config.properties',
    async () => {
      clear();
      mkdirSync(join(dir, 'logs', 'config'), { recursive: true });
      // As Java’s Properties.store writes it: a date, colons and equals signs escaped, addresses and all.
      const models = {
        second: {
          '1.0': {
            defaultVersion: true,
            marName: 'second.mar',
            minWorkers: 1,
            maxWorkers: 1,
            batchSize: 6,
            maxBatchDelay: 20,
            responseTimeout: 90,
            runtimeType: 'python',
          },
        },
      };
      const text = [
        '#Saving snapshot',
        '#Tue Mar 18 10:00:00 UTC 2025',
        'inference_address=http\\://0.0.0.0\\:8080',
        'management_address=http\\://0.0.0.0\\:8081',
        'disable_token_authorization=false',
        'model_store=/nowhere',
        'job_queue_size=44',
        'tsConfigFile=logs/config/20250318095900000-startup.cfg',
        'version=0.12.0',
        'enable_metrics_api=true',
        `model_snapshot=${JSON.stringify({ name: '20250318100000000-shutdown.cfg', modelCount: 1, created: 1742292000000, models }).replaceAll(/[:=]/g, '\\$&')}`,
      ];
      writeFileSync(join(dir, 'logs', 'config', '20250318100000000-shutdown.cfg'), `${text.join('\n')}\n`, {
        mode: 0o600,
      });
      await using life = await live();
      assert.deepEqual(await names(life), ['second'], life.output());
      const [view] = JSON.parse((await life.admin('/models/second')).text) as {
        batchSize: number;
        responseTimeout: number;
        jobQueueStatus: { remainingCapacity: number };
      }[];
      assert.deepEqual([view?.batchSize, view?.responseTimeout, view?.jobQueueStatus.remainingCapacity], [6, 90, 44]);
      assert.match(
        life.output(),
        /is a snapshot and cannot set inference_address, management_address, disable_token_authorization, model_store/,
      );
      const ours = readFileSync(join(dir, 'logs', 'config', files().at(-1) ?? ''), 'latin1');
      assert.doesNotMatch(ours, /_address|token|enable_model_api|model_store|isolation|state_dir/);
    },
  );

  behaviour('7.7', 'same', 'with --ncs no snapshot is read and none is written', async () => {
    const before = files();
    await using life = await live([], ['--ncs']);
    assert.deepEqual(await names(life), [], life.output());
    assert.equal(await life.stop(), 0);
    assert.deepEqual(files(), before);
  });

  behaviour('3.2', 'same', 'scaling writes a snapshot too, with the new numbers', async () => {
    clear();
    await using life = await live(['load_models=first.mar']);
    assert.equal((await life.admin('/models/first?min_worker=0&max_worker=3&synchronous=true', 'PUT')).status, 200);
    const written = (): string =>
      files()
        .filter((name) => name.endsWith('-snapshot.cfg'))
        .map((name) => readFileSync(join(dir, 'logs', 'config', name), 'latin1'))
        .join('\n');
    const deadline = performance.now() + WAIT_MS;
    while (
      !/minWorkers\\?":0,\\?"maxWorkers\\?":3/.test(written().replaceAll(/\\(.)/g, '$1')) &&
      performance.now() < deadline
    )
      await sleep(20);
    assert.match(written().replaceAll(/\\(.)/g, '$1'), /"minWorkers":0,"maxWorkers":3/);
  });

  behaviour(
    '7.7',
    'same',
    'a model_snapshot written by hand into config.properties loads its models and no others, without runtimeType or timeouts',
    async () => {
      clear();
      const written = {
        name: 'startup.cfg',
        modelCount: 1,
        models: {
          second: {
            '1.0': {
              defaultVersion: true,
              marName: 'second.mar',
              minWorkers: 1,
              maxWorkers: 2,
              batchSize: 5,
              maxBatchDelay: 70,
            },
          },
        },
      };
      await using life = await live([`model_snapshot=${JSON.stringify(written)}`, 'load_models=first.mar']);
      assert.deepEqual(await names(life), ['second'], life.output());
      const [view] = JSON.parse((await life.admin('/models/second')).text) as Record<string, unknown>[];
      assert.deepEqual(
        ['runtime', 'batchSize', 'maxBatchDelay', 'responseTimeout', 'minWorkers', 'maxWorkers'].map(
          (key) => view?.[key],
        ),
        ['python', 5, 70, 120, 1, 2],
      );
    },
  );

  behaviour('7.7', 'same', 'an empty snapshot starts without models and says so', async () => {
    clear();
    await using life = await live(['model_snapshot={"name":"x.cfg","modelCount":0,"models":{}}', 'load_models=all']);
    assert.deepEqual(await names(life), []);
    assert.equal(await life.stop(), 0);
    assert.match(life.output(), /Model snapshot is empty\. Starting TorchServe without initial models\./);
  });

  behaviour('7.7', 'same', 'a snapshot whose archive is gone is named, and the server does not come up', async () => {
    clear();
    const models = { lost: { '1.0': { defaultVersion: true, marName: 'lost.mar', minWorkers: 1, maxWorkers: 1 } } };
    await using life = await live([`model_snapshot=${JSON.stringify({ name: 'x.cfg', modelCount: 1, models })}`]);
    assert.notEqual(await life.ended, 0);
    assert.match(life.output(), /Model archive file for model :lost, version :1\.0 not found in model store/);
    assert.doesNotMatch(life.output(), /Model server started\./);
  });
});

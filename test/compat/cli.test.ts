// The torchserve command (surface spec 7.1, 7.2) as scripts run it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { startCompatServer } from '../support/compat-server.ts';
import { makeModelStore, NOOP } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'torchserve');

describe('the torchserve command', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-cli-'));
    mkdirSync(join(dir, 'store'));
    writeFileSync(join(dir, 'broken.properties'), 'inference_address=nonsense\n');
    writeFileSync(join(dir, 'env.properties'), 'model_store=$$DAVY_NO_SUCH_VARIABLE$$\n');
    writeFileSync(join(dir, 'port.properties'), 'inference_address=http://127.0.0.1:70000\n');
    writeFileSync(join(dir, 'vm.properties'), 'vmargs=-Xmx1g\nmodel_store=none\ninference_address=nonsense\n');
    writeFileSync(join(dir, 'number.properties'), 'job_queue_size=many\n');
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const run = (
    args: readonly string[],
    env: Record<string, string> = {},
  ): { status: number | null; stdout: string; output: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
      cwd: dir,
      encoding: 'utf8',
      timeout: 20_000,
      env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir, ...env },
    });
    return { status, stdout, output: stdout + stderr };
  };
  const says = (args: readonly string[], status: number, text: string, env: Record<string, string> = {}): void => {
    const ran = run(args, env);
    assert.deepEqual([ran.status, ran.stdout], [status, `${text}\n`], ran.output);
  };

  behaviour('7.1', 'same', '--version prints TorchServe Version is 0.12.0', () => {
    says(['--version'], 0, 'TorchServe Version is 0.12.0');
    says(['-v'], 0, 'TorchServe Version is 0.12.0');
  });

  behaviour('7.1', 'same', '--help names the program and its flags', () => {
    const { status, stdout } = run(['--help']);
    assert.equal(status, 0);
    for (const flag of [
      'torchserve',
      '--start',
      '--stop',
      '--ts-config',
      '--model-store',
      '--workflow-store',
      '--models',
      '--log-config',
      '--foreground',
      '--ncs',
      '--disable-token-auth',
      '--enable-model-api',
    ]) {
      assert.ok(stdout.includes(flag), flag);
    }
  });

  behaviour('7.1', 'same', 'long flags may be cut short while they stay unambiguous, as argparse has it', () => {
    says(['--vers'], 0, 'TorchServe Version is 0.12.0');
    says(['--model-st=none'], 1, '--model-store directory not found: none');
    // --start or --stop? --model-store or --models?
    assert.equal(run(['--st']).status, 2);
    assert.equal(run(['--model', 'store']).status, 2);
  });

  behaviour('7.1', 'same', '--start, --stop and --version exclude each other', () => {
    assert.notEqual(run(['--start', '--stop']).status, 0);
    assert.notEqual(run(['--version', '--start']).status, 0);
  });

  behaviour('7.1', 'same', '--stop without a server says that there is none', () => {
    says(['--stop'], 0, 'TorchServe is not currently running.');
  });

  behaviour('7.1', 'same', 'files and directories that do not exist are named, with status 1', () => {
    says(['--start', '--ts-config', 'none.properties'], 1, '--ts-config file not found: none.properties');
    says(['--start', '--log-config', 'none.xml'], 1, '--log-config file not found: none.xml');
    says(['--start', '--cpp-log-config', 'none.xml'], 1, '--cpp-log-config file not found: none.xml');
    says(['--start', '--model-store', 'none'], 1, '--model-store directory not found: none');
    says(
      ['--start', '--model-store', 'store', '--workflow-store', 'none'],
      1,
      '--workflow-store directory not found: none',
    );
    says(
      ['--start', '--model-store', 'store'],
      1,
      'Invalid temp directory: none, please check TEMP environment variable.',
      { TEMP: 'none' },
    );
  });

  behaviour('7.1', 'same', 'without a model store anywhere, --model-store is mandatory', () => {
    says(['--start'], 1, 'Missing mandatory parameter --model-store');
  });

  behaviour('7.2', 'same', 'TS_CONFIG_FILE wins over --ts-config', () => {
    says(['--start', '--ts-config', 'vm.properties'], 1, '--ts-config file not found: other.properties', {
      TS_CONFIG_FILE: 'other.properties',
    });
  });

  behaviour('7.1', 'same', 'vmargs are told, and have no Java machine to go to', () => {
    const { output } = run([
      '--start',
      '--foreground',
      '--ts-config',
      'vm.properties',
      '--model-store',
      'store',
      '--ncs',
    ]);
    assert.match(output, /Warning: TorchServe is using non-default JVM parameters: -Xmx1g/);
  });

  behaviour('1.2', 'same', 'a configuration that cannot be used is Invalid configuration: …, and status 1', () => {
    const start = (file: string): string => {
      const { status, output } = run([
        '--start',
        '--foreground',
        '--ts-config',
        file,
        '--model-store',
        'store',
        '--ncs',
      ]);
      assert.equal(status, 1, output);
      return output;
    };
    assert.match(start('broken.properties'), /^Invalid configuration: .*nonsense/m);
    assert.match(start('port.properties'), /^Invalid configuration: .*70000/m);
    assert.match(start('env.properties'), /^Invalid configuration: .*DAVY_NO_SUCH_VARIABLE/m);
    assert.match(start('number.properties'), /^Invalid configuration: .*job_queue_size/m);
  });
});

describe('the configuration', () => {
  behaviour(
    '7.4',
    'same',
    'an archive’s settings in models= hold where neither request nor YAML says otherwise',
    async () => {
      using store = makeModelStore();
      store.add('noop', NOOP);
      const models = {
        noop: { '1.0': { minWorkers: 2, maxWorkers: 2, batchSize: 3, maxBatchDelay: 40, responseTimeout: 50 } },
      };
      await using server = await startCompatServer({
        modelStore: store.dir,
        models: ['noop'],
        config: [`models=${JSON.stringify(models)}`],
      });
      const view = await server.ready('noop', 2);
      assert.deepEqual(
        ['minWorkers', 'maxWorkers', 'batchSize', 'maxBatchDelay', 'responseTimeout'].map((key) => view[key]),
        [2, 2, 3, 40, 50],
      );
    },
  );

  behaviour(
    '7.2',
    'same',
    'properties are Java’s: continued lines, escapes, colons, comments, and the last of a repeated key',
    async () => {
      using store = makeModelStore();
      store.add('noop', NOOP);
      await using server = await startCompatServer({
        modelStore: store.dir,
        config: [
          '# a comment',
          '! another',
          'job_queue_size:3',
          'load_models=no\\',
          '   op',
          'job_queue_size = 7',
          'cors_allowed_origin=\\u0061bc',
        ],
      });
      assert.equal((await server.ready('noop')).jobQueueStatus.remainingCapacity, 7);
      assert.equal((await server.infer('/ping')).headers['access-control-allow-origin'], 'abc');
    },
  );
});

// `davy migrate` over a directory that TorchServe could have been started in.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'davy');

describe('davy migrate', () => {
  let store: TestStore;
  let dir = '';
  before(() => {
    store = makeModelStore();
    store.add('good', NOOP);
    dir = mkdtempSync(join(tmpdir(), 'davy-migrate-'));
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, 'migrate', ...args], {
      cwd: dir,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir, NODE_DISABLE_COMPILE_CACHE: '1' },
    });
    return { status, stdout, stderr };
  };

  it('ends with 0 where nothing is to change', () => {
    writeFileSync(join(dir, 'config.properties'), `model_store=${store.dir}\nload_models=all\njob_queue_size=7\n`);
    chmodSync(join(dir, 'config.properties'), 0o644);
    const { status, stdout } = run('.');
    assert.equal(status, 0, stdout);
    assert.match(stdout, /good {2}good\n +Loads unchanged\./);
    assert.match(stdout, /Nothing to change\.\n$/);
  });

  it('ends with 1 and says of every offence where it is and what to write', () => {
    writeFileSync(join(dir, 'ts.properties'), 'inference_address=http://0.0.0.0:8080\nmetrics_mod=prometheus\n');
    mkdirSync(join(dir, 'models'));
    writeFileSync(join(dir, 'models', 'old.mar'), 'no zip');
    writeFileSync(join(dir, 'models', 'flow.war'), '');
    mkdirSync(join(dir, 'models', 'pickled'));
    // The pickle of os.system('id'), protocol 0.
    writeFileSync(join(dir, 'models', 'pickled', 'w.pkl'), "cposix\nsystem\n(S'id'\ntR.");
    const command = 'torchserve --start --ts-config ts.properties --model-store models --models old.mar none.mar';
    const { status, stdout } = run('--json', '--command', command);
    assert.equal(status, 1);
    const { remarks } = JSON.parse(stdout) as { remarks: { kind: string; where: string; subject: string }[] };
    assert.deepEqual(
      remarks.filter(({ kind }) => kind === 'change').map(({ where, subject }) => `${where} ${subject}`),
      [
        'ts.properties:1 inference_address=http://0.0.0.0:8080',
        'ts.properties:2 metrics_mod',
        'load_models none.mar',
        'flow.war workflow',
        'old.mar archive',
        'pickled w.pkl',
      ],
    );
    assert.deepEqual(readdirSync(dir).toSorted(), ['config.properties', 'models', 'ts.properties']);
  });

  it('ends with 2 when something cannot be read', () => {
    assert.equal(run('nowhere').status, 2);
    assert.equal(run('--command', 'torchserve --start --ts-config nowhere').status, 2);
    assert.match(run('--command', 'rm -rf x').stderr, /torchserve command line/);
  });
});

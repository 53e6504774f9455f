import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../../kernel/index.ts';
import { KEY_NAMES, KEYS, type KeyName } from '../keys/index.ts';
import { loadSettings } from '../load.ts';
import { configValues, judgeConfigFile } from './judge-file.ts';
import { judgeSnapshot } from './judge-snapshot.ts';
import type { Remark } from './remark.ts';

const judge = (text: string, more: Partial<Record<KeyName, string>> = {}): readonly Remark[] => {
  const file = { name: 'config.properties', text };
  const values = new Map([...configValues(file), ...(Object.entries(more) as [KeyName, string][])]);
  return judgeConfigFile(file, values, '/srv');
};
const changes = (text: string): readonly Remark[] => judge(text).filter(({ kind }) => kind === 'change');

describe('a configuration file of TorchServe', () => {
  test('keeps its meaning where nothing is said', () => {
    assert.deepEqual(judge('job_queue_size=5\nload_models=all\nallowed_urls=https://h/.*\n'), [
      {
        kind: 'same',
        where: 'config.properties',
        subject: 'job_queue_size, load_models, allowed_urls',
        message: 'Mean what they meant.',
      },
    ]);
  });

  test('is told what to write for clear text on a network, with a certificate only where there is none', () => {
    const [first] = changes('inference_address=http://0.0.0.0:8080');
    assert.deepEqual(first?.write, [
      'inference_address=https://0.0.0.0:8080',
      'certificate_file=PATH',
      'private_key_file=PATH',
    ]);
    const [second] = changes('keystore=k.p12\ninference_address=http://0.0.0.0:8080');
    assert.deepEqual(second?.write, ['inference_address=https://0.0.0.0:8080']);
    assert.deepEqual(changes('keystore=k.p12\ninference_address=https://0.0.0.0:8443'), []);
    assert.equal(changes('inference_address=https://127.0.0.1:8443').length, 1);
    assert.equal(changes('grpc_inference_address=0.0.0.0').length, 1);
    assert.deepEqual(changes('insecure_bind=true\ninference_address=http://0.0.0.0:8080'), []);
    assert.match(changes('insecure_bind=true\nmetrics_address=http://0.0.0.0:8082')[0]?.message ?? '', /want a key/);
  });

  test('is told of typos with the line to write, and of keys of plugins without one', () => {
    const [typo] = changes('a=1\nallowed_url=https://h/.*');
    assert.equal(typo?.where, 'config.properties:2');
    assert.deepEqual(typo?.write, ['allowed_urls=https://h/.*']);
    assert.equal(judge('MY_PLUGIN_WORKERS=3')[0]?.kind, 'note');
  });

  test('never shows a secret', () => {
    const remarks = judge('keystore=k\nkeystore_pass=hunter2\n');
    assert.ok(!JSON.stringify(remarks).includes('hunter2'));
  });

  test('without anything to change starts, whatever its values', () => {
    const values = fc.constantFrom('true', 'false', '0', '7', 'all', '{}', 'http://0.0.0.0:1', 'https://h', '[', 'x');
    const lines = fc.array(fc.tuple(fc.constantFrom(...KEY_NAMES), values), { maxLength: 4 });
    const facts = { cwd: '/srv', tempDir: '/tmp', stateHome: '/state', pathExists: () => true };
    fc.assert(
      fc.property(lines, (pairs) => {
        const text = pairs.map(([key, value]) => `${key}=${value}\n`).join('');
        if (changes(text).length > 0) return;
        try {
          loadSettings({ file: { name: 'config.properties', text }, env: {} }, facts);
        } catch (thrown) {
          // What only several keys together make wrong (a socket twice, half a key pair) is said at the start.
          assert.ok(thrown instanceof Fault);
          assert.match(thrown.message, /must differ|belong together|use_native_io|models at|model_snapshot at/);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a snapshot of TorchServe', () => {
  const text =
    'enable_model_api=true\njob_queue_size=5\nkeystore_pass=hunter2\nmodel_snapshot={"models":{"m":{"1.0":{"marName":"m.mar"}}}}\n';

  test('gives its models, and a line for each security key that nothing else sets', () => {
    const { models, remarks } = judgeSnapshot({ name: 's.cfg', text }, new Map());
    assert.deepEqual(
      models.map(({ name, location }) => [name, location]),
      [['m', 'm.mar']],
    );
    assert.deepEqual(remarks.find(({ kind }) => kind === 'change')?.write, [
      'enable_model_api=true',
      'keystore_pass=…',
    ]);
  });

  test('needs nothing where config.properties says the same', () => {
    const values = new Map<KeyName, string>([
      ['enable_model_api', 'true'],
      ['keystore_pass', 'hunter2'],
    ]);
    assert.ok(KEYS.enable_model_api.isSecurity);
    assert.deepEqual(
      judgeSnapshot({ name: 's.cfg', text }, values).remarks.map(({ kind }) => kind),
      ['same'],
    );
  });
});

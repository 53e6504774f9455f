// Every key of model-config.yaml (surface spec 8.3, 8.4), and of the manifest (8.2), as describe, the log and the handler show them.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { buildTarGz, buildZip } from '../attack/archives.ts';
import type { ModelView } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { managementCalls } from '../support/management-calls.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

const SHOW = `
import json

def handle(data, context):
    if data is None:
        return None
    return [json.dumps([context.model_yaml_config, context.system_properties["gpu_id"], str(data[0]["body"])])] * len(data)
`;
/** A value of the wrong type for each key. */
const WRONG: Readonly<Record<string, string>> = {
  minWorkers: 'many',
  maxWorkers: '-1',
  batchSize: '0',
  maxBatchDelay: '-1',
  responseTimeout: '0',
  startupTimeout: '1.5',
  deviceType: 'neuron',
  deviceIds: '0',
  parallelType: 'sideways',
  parallelLevel: 'two',
  torchrun: 'yes please',
  maxRetryTimeoutInSec: '-5',
  clientTimeoutInMills: 'soon',
  jobQueueSize: 'long',
  useJobTicket: '1',
  continuousBatching: 'maybe',
  sequenceBatching: '"true"',
  sequenceMaxIdleMSec: 'x',
  sequenceTimeoutMSec: 'x',
  maxNumSequence: 'x',
  maxSequenceJobQueueSize: 'x',
  asyncCommunication: 'x',
  useVenv: 'x',
};
const SEQUENCES = `
batchSize: 2
sequenceBatching: yes
sequenceMaxIdleMSec: 1000
sequenceTimeoutMSec: 2000
maxNumSequence: 3
maxSequenceJobQueueSize: 4
`;

const configured = (store: TestStore, name: string, config: string): void => store.add(name, SHOW, { config });

const fill = (store: TestStore): void => {
  configured(store, 'defaults', 'handler: {free: form}\n');
  configured(
    store,
    'wrong',
    Object.entries(WRONG)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(''),
  );
  configured(store, 'raised', 'minWorkers: -3\nmaxWorkers: 2\n');
  configured(store, 'zero', 'minWorkers: 0\nmaxWorkers: 1\nmaxBatchDelay: 0\nmaxRetryTimeoutInSec: 0\n');
  configured(store, 'sequences', SEQUENCES);
  configured(store, 'idle', 'sequenceBatching: true\nmaxNumSequence: 3\n');
  configured(store, 'modes', 'continuousBatching: on\nuseJobTicket: Yes\nuseVenv: true\n');
  configured(store, 'devices', 'deviceType: GPU\ndeviceIds: [0, 99]\n');
  configured(store, 'level', 'parallelLevel: 4\n');
  configured(store, 'custom', 'parallelType: custom\nparallelLevel: 2\n');
  for (const kind of ['pp', 'tp', 'pptp']) {
    configured(store, kind, `parallelType: ${kind}\ntorchrun:\n  nproc-per-node: 2\n  rdzv-backend: c10d\n`);
  }
  configured(store, 'torchrun', 'torchrun:\n  nproc-per-node: 4\n  node-rank: 0\n  max-restarts: 3\n');
  store.add('placed', SHOW, {
    model: { configFile: 'conf/serving.yaml' },
    files: { 'conf/serving.yaml': 'batchSize: 7\n' },
  });
  store.add('aged', NOOP, { manifest: { createdOn: undefined, archiverVersion: undefined } });
  store.add('enveloped', SHOW, { model: { envelope: 'json' } });
  store.addArchive('file-name.mar', 'named-by-manifest', NOOP);
  store.addArchive('other.model', 'other', NOOP);
  store.add('nested', NOOP, { files: { 'weights.zip': buildZip([{ name: 'config.json', data: '{}' }]) } });
  const extras = {
    'run.sh': '#!/bin/sh\n',
    'words.csv': 'a,b\n',
    'merges.txt': 'a b\n',
    'page.html': '<p>',
    empty: '',
  };
  store.add('extras', NOOP, { files: extras });
  const wrapped = join(store.dir, 'wrapped', 'inner');
  mkdirSync(wrapped, { recursive: true });
  writeFileSync(join(wrapped, 'default_service_handler.py'), NOOP);
  const manifest = JSON.stringify({ runtime: 'python', model: { modelName: 'linked', handler: 'linked.py' } });
  writeFileSync(
    join(store.dir, 'linked.tar.gz'),
    buildTarGz([
      { name: 'linked/MAR-INF/MANIFEST.json', data: Buffer.from(manifest) },
      { name: 'linked/linked.py', data: Buffer.from(NOOP) },
      { name: 'linked/secret.txt', type: '2', linkName: '/etc/passwd' },
    ]),
  );
  writeFileSync(
    join(store.dir, 'versioned.mar'),
    buildZip([
      {
        name: 'MAR-INF/MANIFEST.json',
        data: '{"model": {"modelName": "versioned", "modelVersion": "2024-01_beta.3", "handler": "v.py"}}',
      },
      { name: 'v.py', data: NOOP },
    ]),
  );
};

describeWithServer('model-config.yaml and manifest', fill, { config: ['default_workers_per_model=0'] }, (suite) => {
  const { register, remove } = managementCalls(suite);
  const view = async (url: string, model = url): Promise<ModelView> => {
    const answer = await register(`url=${url}`);
    assert.equal(answer.status, 200, answer.text);
    const shown = await suite.server.view(model);
    await remove(model);
    return shown;
  };
  const pick = (shown: ModelView, keys: string): unknown[] => keys.split(' ').map((key) => shown[key]);

  describe('the keys', () => {
    behaviour('8.3', 'same', 'each key that is not there has its default', async () => {
      const keys =
        'minWorkers maxWorkers batchSize maxBatchDelay responseTimeout startupTimeout maxRetryTimeoutInSec clientTimeoutInMills parallelType parallelLevel deviceType continuousBatching useJobTicket useVenv stateful sequenceMaxIdleMSec sequenceTimeoutMSec maxNumSequence maxSequenceJobQueueSize';
      assert.deepEqual(pick(await view('defaults'), keys), [
        0,
        0,
        1,
        100,
        120,
        120,
        300,
        0,
        '',
        0,
        'cpu',
        false,
        false,
        false,
        false,
        0,
        0,
        0,
        0,
      ]);
    });

    behaviour(
      '8.3',
      'same',
      'a wrong value of any key is logged as Invalid {key}: {value}, should be …, and means the default',
      async () => {
        const defaults = await view('defaults');
        const wrong = await view('wrong');
        for (const [key, value] of Object.entries(WRONG)) {
          assert.deepEqual(wrong[key], defaults[key], key);
          await suite.server.until(
            new RegExp(`Model wrong: Invalid ${key}: ${value.replaceAll('"', '')}, should be \\S`),
          );
        }
        assert.equal(wrong.jobQueueStatus.remainingCapacity, 100);
      },
    );

    behaviour(
      '8.3',
      'same',
      'minWorkers below 1 is 1; a maxBatchDelay of 0 is not set; maxRetryTimeoutInSec may be 0',
      async () => {
        assert.deepEqual(pick(await view('raised'), 'minWorkers maxWorkers'), [1, 2]);
        assert.deepEqual(pick(await view('zero'), 'minWorkers maxBatchDelay maxRetryTimeoutInSec'), [1, 100, 0]);
      },
    );

    behaviour('8.3', 'same', 'the keys of sequences count where sequenceMaxIdleMSec is above 0', async () => {
      const keys = 'stateful sequenceMaxIdleMSec sequenceTimeoutMSec maxNumSequence maxSequenceJobQueueSize';
      assert.deepEqual(pick(await view('sequences'), keys), [true, 1000, 2000, 3, 4]);
      assert.deepEqual(pick(await view('idle'), keys), [true, 0, 0, 0, 0]);
      await suite.server.until(/Model idle: sequenceBatching needs a sequenceMaxIdleMSec above 0/);
    });

    behaviour('8.3', 'same', 'booleans are those of YAML 1.1: on, Yes, true', async () => {
      assert.deepEqual(pick(await view('modes'), 'continuousBatching useJobTicket useVenv'), [true, true, true]);
    });

    behaviour(
      '8.3',
      'same',
      'deviceType gpu without GPUs is cpu, and deviceIds with one that does not exist do not count',
      async () => {
        assert.deepEqual(pick(await view('devices'), 'deviceType deviceIds'), ['cpu', undefined]);
        await suite.server.admin('/models?url=devices&initial_workers=1', 'POST');
        const [, gpu] = (await suite.server.infer('/predictions/devices')).json<unknown[]>();
        assert.equal(gpu, null);
        await remove('devices');
      },
    );

    behaviour('8.2', 'same', 'configFile is relative to the root of the archive', async () => {
      assert.equal((await view('placed'))['batchSize'], 7);
    });
  });

  describe('models of several processes', () => {
    behaviour('8.3', 'same', 'parallelLevel without parallelType has no effect', async () => {
      assert.deepEqual(pick(await view('level'), 'parallelType parallelLevel'), ['', 0]);
      assert.deepEqual(pick(await view('torchrun'), 'parallelType parallelLevel'), ['', 0]);
    });

    behaviour('8.4', 'same', 'a key of torchrun that TorchServe does not know is logged', async () => {
      await view('torchrun');
      await suite.server.until(/unsupported parameter max-restarts/);
    });

    behaviour(
      '12.3',
      'absent',
      'pp, tp, pptp and custom are one process for each worker, and log and describe say so',
      async () => {
        for (const kind of ['pp', 'tp', 'pptp', 'custom']) {
          const shown = await view(kind);
          assert.deepEqual(pick(shown, 'parallelType parallelLevel'), [kind, 2]);
          const words =
            kind === 'custom'
              ? 'parallelLevel 2: each worker gets one GPU at most'
              : `parallelType ${kind} with 2 processes is not served yet: each worker is one process`;
          assert.deepEqual(shown['warnings'], [words]);
          await suite.server.until(new RegExp(`\\[WARN \\] .*Model ${kind}: ${words}`));
        }
      },
    );
  });

  describe('the manifest', () => {
    behaviour('8.2', 'same', 'without createdOn and archiverVersion there are two warnings', async () => {
      await view('aged');
      await suite.server.until(
        /Model archive version is not defined\. Please upgrade to torch-model-archiver 0\.2\.0 or higher/,
      );
      await suite.server.until(
        /Model archive createdOn is not defined\. Please upgrade to torch-model-archiver 0\.2\.0 or higher/,
      );
    });

    behaviour(
      '8.2',
      'same',
      'modelName is the name, whatever the file is called, and modelVersion any text',
      async () => {
        assert.equal((await view('file-name.mar', 'named-by-manifest')).modelVersion, '1.0');
        assert.equal((await view('versioned.mar', 'versioned')).modelVersion, '2024-01_beta.3');
      },
    );

    behaviour('8.2', 'same', 'its envelope does not count: service_envelope decides', async () => {
      await suite.server.admin('/models?url=enveloped&initial_workers=1', 'POST');
      const answer = await suite.server.infer('/predictions/enveloped', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{"instances": [1]}',
      });
      assert.equal(answer.json<unknown[]>()[2], "{'instances': [1]}");
      await remove('enveloped');
    });
  });

  describe('containers', () => {
    behaviour('8.1', 'same', 'a regular file with any other ending is a gzipped tar', async () => {
      assert.equal((await view('other.model', 'other'))['modelUrl'], 'other.model');
    });

    behaviour('8.1', 'same', 'a directory that holds one directory and nothing else stands for that one', async () => {
      await suite.server.admin('/models?url=wrapped&initial_workers=1', 'POST');
      assert.equal((await suite.server.infer('/predictions/wrapped')).text, 'OK');
      await remove('wrapped');
    });

    behaviour(
      '8.1',
      'same',
      'extra files may be of any kind that is no program, no pickle and no archive',
      async () => {
        assert.equal((await view('extras'))['modelUrl'], 'extras');
      },
    );

    behaviour(
      '8.1',
      'stricter',
      'an archive among the files of an archive is refused, in words that say what to do',
      async () => {
        const answer = await register('url=nested');
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'InvalidModelException']);
        assert.match(answer.text, /Put the files themselves into the archive\./);
      },
    );

    behaviour(
      '8.1',
      'stricter',
      'an archive with a link is refused; TorchServe makes an empty file of it',
      async () => {
        const answer = await register('url=linked.tar.gz');
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'InvalidModelException']);
      },
    );
  });

  describe('the reference', () => {
    behaviour(
      '8.6',
      'same',
      'only the last component of a path counts: dir/noop.mar is noop.mar of the model store',
      async () => {
        assert.equal(
          (await view('some/where/file-name.mar', 'named-by-manifest'))['modelUrl'],
          'some/where/file-name.mar',
        );
      },
    );

    behaviour('8.6', 'same', 'what is neither file nor directory is 404 Model not found at', async () => {
      const answer = await register('url=no/such/place');
      assert.equal(answer.json<{ message: string }>().message, 'Model not found at: no/such/place');
    });
  });
});

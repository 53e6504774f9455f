// Registering (surface spec 3.1) at its edges: parameters in odd places and forms, odd names, failures and races.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { buildZip } from '../attack/archives.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { eventually } from '../support/eventually.ts';
import { managementCalls, refuses, says } from '../support/management-calls.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

/** Loads for longer than the calls of a test take, and fails then. */
const FAILS_LATE = `
import time

def handle(data, context):
    if data is None:
        time.sleep(1.5)
        raise RuntimeError("no")
    return data
`;
const LOADS_FOR_EVER = FAILS_LATE.replace('1.5', '600');
const TWO_ENTRIES = `${NOOP}
def other(data, context):
    return None if data is None else ["OTHER"] * len(data)
`;
const NO_WORKERS = 'registered with 0 initial workers. Use scale workers API to add workers for the model.';

const fill = (store: TestStore): void => {
  const two = (text: string): object => ({ model: { modelName: 'race', modelVersion: text, handler: 'race.py' } });
  store.addArchive('noop.mar', 'noop', NOOP);
  store.addArchive('entries.mar', 'entries', TWO_ENTRIES);
  store.addArchive('race_1.mar', 'race', FAILS_LATE, two('1.0'));
  store.addArchive('race_2.mar', 'race', NOOP, two('2.0'));
  store.add('endless', LOADS_FOR_EVER);
  store.add('yaml', NOOP, { config: 'batchSize: 4\nmaxBatchDelay: 33\n' });
  store.add('inverted', NOOP, { config: 'minWorkers: 2\nmaxWorkers: 1\n' });
  store.add('none-wanted', NOOP, { config: 'minWorkers: 0\nmaxWorkers: 2\n' });
  store.addArchive('nameless.mar', 'nameless', NOOP, { model: { modelName: '', handler: 'nameless.py' } });
  store.addArchive('odd-version.mar', 'odd-version', NOOP, { model: { modelVersion: '2.0-rc.1+x_y' } });
  store.addArchive('bad-version.mar', 'bad-version', NOOP, { model: { modelVersion: '1.0 beta/2' } });
  store.addArchive('versionless.mar', 'versionless', NOOP, { model: { modelVersion: '' } });
  writeFileSync(join(store.dir, 'zip-slip.mar'), buildZip([{ name: '../../x.py', data: NOOP }]));
};

const config = [
  'default_workers_per_model=0',
  'default_response_timeout=121',
  'default_startup_timeout=122',
  'allowed_urls=file://.*',
];

describeWithServer('registering', fill, { config }, (suite) => {
  const { register, registerJson, scale, remove } = managementCalls(suite);
  const viewed = async (model: string, ...keys: readonly string[]): Promise<unknown[]> => {
    const view = await suite.server.view(model);
    return keys.map((key) => view[key]);
  };

  describe('with a JSON body', () => {
    behaviour('3.1', 'same', 'every parameter may come in a JSON body', async () => {
      const answer = await registerJson({
        url: 'entries.mar',
        model_name: 'js',
        handler: 'entries.py:other',
        runtime: 'python3',
        batch_size: 3,
        max_batch_delay: 7,
        initial_workers: 1,
        synchronous: true,
        response_timeout: 5,
        startup_timeout: 60,
        s3_sse_kms: false,
        unknown: { nested: [1] },
      });
      says(answer, 200, 'Model "js" Version: 1.0 registered with 1 initial workers');
      assert.deepEqual(
        await viewed('js', 'runtime', 'batchSize', 'maxBatchDelay', 'responseTimeout', 'startupTimeout', 'minWorkers'),
        ['python3', 3, 7, 5, 60, 1],
      );
      assert.equal((await suite.server.infer('/predictions/js')).text, 'OTHER');
      await remove('js');
    });

    behaviour('3.1', 'same', 'the media type of a JSON body may carry parameters and any letter case', async () => {
      for (const type of ['application/json; charset=utf-8', 'Application/JSON']) {
        assert.equal((await registerJson({ url: 'noop.mar', model_name: 'js' }, type)).status, 200, type);
        await remove('js');
      }
    });

    behaviour('3.1', 'same', 'with a JSON body the query does not fill in what the body leaves out', async () => {
      refuses(await registerJson({}), 400, 'BadRequestException', 'Parameter url is required.');
      refuses(await registerJson({ url: null }), 400, 'BadRequestException', 'Parameter url is required.');
      refuses(await registerJson({ url: '' }), 404, 'ModelNotFoundException', 'empty url');
    });

    behaviour('3.1', 'same', 'a body of another media type is not read, and the query counts', async () => {
      const headers = { 'Content-Type': 'text/plain' };
      const body = '{"url": "none.mar", "model_name": "body"}';
      const answer = await suite.server.admin('/models?url=noop.mar&model_name=query', 'POST', { headers, body });
      assert.equal(answer.status, 200, answer.text);
      assert.equal((await remove('query')).status, 200);
    });

    behaviour(
      '3.1',
      'same',
      'in JSON a number may be a text and a boolean too; what is no integer at all is 500 JsonSyntaxException',
      async () => {
        const texts = { batch_size: '4', initial_workers: '0', synchronous: 'TRUE', max_batch_delay: 5.0 };
        assert.equal((await registerJson({ url: 'noop.mar', ...texts })).status, 200);
        assert.deepEqual(await viewed('noop', 'batchSize', 'maxBatchDelay'), [4, 5]);
        await remove('noop');
        for (const batch of ['junk', 3.5, true, [1], { a: 1 }]) {
          const answer = await registerJson({ url: 'noop.mar', batch_size: batch });
          const { type } = answer.json<{ type: string }>();
          assert.deepEqual([answer.status, type], [500, 'JsonSyntaxException'], JSON.stringify(batch));
        }
        assert.equal((await registerJson([{ url: 'noop.mar' }])).status, 500);
      },
    );
  });

  describe('with odd numbers and words', () => {
    behaviour('3', 'same', 'an empty or overflowing number is its default, and true is true in any case', async () => {
      assert.equal(
        (await register('url=noop.mar&batch_size=&max_batch_delay=99999999999&initial_workers=')).status,
        200,
      );
      assert.deepEqual(await viewed('noop', 'batchSize', 'maxBatchDelay', 'minWorkers'), [1, 100, 0]);
      await remove('noop');
      says(
        await register('url=noop.mar&initial_workers=1&synchronous=TrUe'),
        200,
        'Model "noop" Version: 1.0 registered with 1 initial workers',
      );
      await remove('noop');
      says(await register('url=noop.mar&initial_workers=1&synchronous='), 202, 'Processing worker updates...');
      await remove('noop');
    });

    behaviour(
      '3.1',
      'same',
      '-1 for batch_size and the timeouts, and -100 for max_batch_delay, mean not given',
      async () => {
        const unset = 'batch_size=-1&max_batch_delay=-100&response_timeout=-1&startup_timeout=-1';
        assert.equal((await register(`url=yaml&${unset}`)).status, 200);
        assert.deepEqual(
          await viewed('yaml', 'batchSize', 'maxBatchDelay', 'responseTimeout', 'startupTimeout'),
          [4, 33, 120, 120],
        );
        await remove('yaml');
      },
    );

    behaviour(
      '3.1',
      'same',
      'timeouts that nobody gives are default_response_timeout and default_startup_timeout',
      async () => {
        assert.equal((await register('url=noop.mar&response_timeout=junk&s3_sse_kms=true')).status, 200);
        assert.deepEqual(await viewed('noop', 'responseTimeout', 'startupTimeout'), [121, 122]);
        await remove('noop');
      },
    );

    behaviour('3.1', 'same', 'max_batch_delay of the request wins over the YAML, 0 included', async () => {
      assert.equal((await register('url=yaml&max_batch_delay=0')).status, 200);
      assert.deepEqual(await viewed('yaml', 'batchSize', 'maxBatchDelay'), [4, 0]);
      await remove('yaml');
    });

    behaviour('3.1', 'same', 'a batch of less than one is served one by one', async () => {
      for (const size of ['0', '-5']) {
        assert.equal((await register(`url=noop.mar&initial_workers=1&batch_size=${size}`)).status, 200);
        assert.equal((await suite.server.infer('/predictions/noop')).text, 'OK', size);
        await remove('noop');
      }
    });

    behaviour(
      '3.1',
      'stricter',
      'no request gets a larger batch or more workers than the operator allows; describe warns of what was cut',
      async () => {
        assert.equal((await register('url=noop.mar&batch_size=2147483647')).status, 200);
        const view = await suite.server.view('noop');
        assert.equal(view['batchSize'], 8192);
        assert.match(String(view['warnings']), /batchSize 2147483647 reduced to 8192/);
        await remove('noop');
      },
    );

    behaviour('3.1', 'same', 'worker counts of the YAML count only where maxWorkers reaches minWorkers', async () => {
      says(await register('url=inverted'), 200, `Model "inverted" Version: 1.0 ${NO_WORKERS}`);
      assert.deepEqual(await viewed('inverted', 'minWorkers', 'maxWorkers'), [0, 0]);
      await remove('inverted');
      says(
        await register('url=inverted&initial_workers=1'),
        200,
        'Model "inverted" Version: 1.0 registered with 1 initial workers',
      );
      await remove('inverted');
    });

    behaviour('3.1', 'same', 'minWorkers below one in the YAML is one', async () => {
      says(
        await register('url=none-wanted'),
        200,
        'Model "none-wanted" Version: 1.0 registered with 1 initial workers',
      );
      assert.deepEqual(await viewed('none-wanted', 'minWorkers', 'maxWorkers'), [1, 2]);
      await remove('none-wanted');
    });
  });

  describe('with odd names', () => {
    behaviour('3.1', 'same', 'model_name gives the name, and an empty one the manifest’s', async () => {
      for (const name of ['a.b-c_D', '9', 'x'.repeat(128)]) {
        assert.equal((await register(`url=noop.mar&model_name=${name}`)).status, 200, name);
        assert.deepEqual(await viewed(name, 'modelName', 'modelUrl'), [name, 'noop.mar']);
        await remove(name);
      }
      assert.equal((await register('url=noop.mar&model_name=')).status, 200);
      assert.equal((await remove('noop')).status, 200);
    });

    behaviour(
      '3.1',
      'stricter',
      'a name is letters, digits, . _ and -, begins with a letter or digit, and has 128 characters at most: else 400',
      async () => {
        for (const name of [
          'a/b',
          '../x',
          'a b',
          '.x',
          '_x',
          '-x',
          'ü',
          'a\nb',
          'a\0b',
          'x'.repeat(129),
          'a:predict',
        ]) {
          const answer = await register(`url=noop.mar&model_name=${encodeURIComponent(name)}`);
          assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'BadRequestException'], name);
          assert.match(answer.text, /Invalid model name: it must begin with a letter or digit/);
        }
        assert.deepEqual((await suite.server.admin('/models')).json(), { models: [] });
      },
    );

    behaviour(
      '3.1',
      'same',
      'names and versions in paths are percent-decoded, and trailing slashes do not matter',
      async () => {
        await register('url=noop.mar&model_name=a.b');
        for (const path of ['a%2Eb', '%61.b/', 'a.b/1%2E0', 'a.b/1.0/', 'a.b/1.0//']) {
          const answer = await suite.server.admin(`/models/${path}`);
          assert.equal(answer.json<{ modelName: string }[]>()[0]?.modelName, 'a.b', path);
        }
        refuses(
          await suite.server.admin('/models/a.b/1'),
          404,
          'ModelVersionNotFoundException',
          'Model version: 1 does not exist for model: a.b',
        );
        await remove('a.b');
      },
    );

    behaviour('3.3', 'same', 'an error repeats a name as it was sent, escaped as JSON has it', async () => {
      for (const name of ['a b', '<script>', 'a/b', 'x"y', 'a\nb', '%', '..%2F']) {
        refuses(
          await suite.server.admin(`/models/${encodeURIComponent(name)}`),
          404,
          'ModelNotFoundException',
          `Model not found: ${name}`,
        );
      }
    });

    behaviour(
      '8.6',
      'stricter',
      'a file:// URL that allowed_urls matches names a file of the model store and is not copied; one outside is 404',
      async () => {
        const url = `file://${join(suite.store.dir, 'noop.mar')}`;
        assert.equal((await register(`url=${encodeURIComponent(url)}`)).status, 200);
        assert.deepEqual(await viewed('noop', 'modelUrl'), [url]);
        await remove('noop');
        assert.ok(existsSync(join(suite.store.dir, 'noop.mar')), 'the archive stays');
        refuses(
          await register('url=file:///etc/hostname'),
          404,
          'ModelNotFoundException',
          'Model not found at: file:///etc/hostname',
        );
      },
    );

    behaviour('3.1', 'same', '.. anywhere in a url is 404, not only as a step', async () => {
      for (const url of ['no..op.mar', 'a/../noop.mar', 'http://h/..', '..']) {
        refuses(
          await register(`url=${encodeURIComponent(url)}`),
          404,
          'ModelNotFoundException',
          `Relative path is not allowed in url: ${url}`,
        );
      }
    });

    behaviour('3.1', 'same', 'a manifest with an empty name or version is 400 in the reference’s words', async () => {
      refuses(await register('url=nameless.mar'), 400, 'InvalidModelException', 'Model name is not defined.');
      refuses(await register('url=versionless.mar'), 400, 'InvalidModelException', 'Model version is not defined.');
    });

    behaviour(
      '8.2',
      'stricter',
      'a version is letters, digits, . _ + and -, begins with a letter or digit, and has 64 characters at most: else 400',
      async () => {
        assert.equal((await register('url=odd-version.mar')).status, 200);
        assert.equal((await suite.server.admin('/models/odd-version/2.0-rc.1%2Bx_y')).status, 200);
        says(await remove('odd-version/2.0-rc.1+x_y'), 200, 'Model "odd-version" unregistered');
        const answer = await register('url=bad-version.mar');
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'InvalidModelException']);
        assert.match(answer.text, /Invalid model version: it must begin with a letter or digit/);
      },
    );

    behaviour(
      '3.1',
      'stricter',
      'an archive that leaves its folder is 400 with the reason, not 500 Failed to save model',
      async () => {
        const answer = await register('url=zip-slip.mar');
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'InvalidModelException']);
      },
    );

    behaviour('12.4', 'absent', 'runtime=LSP, the C++ back end, is 400 as any unknown runtime', async () => {
      refuses(await register('url=noop.mar&runtime=LSP'), 400, 'BadRequestException', 'Invalid RuntimeType value: LSP');
    });
  });

  describe('that fails or is overtaken', () => {
    behaviour('3.1', 'same', 'a registration that failed leaves room for the next: no 409', async () => {
      const query = 'url=race_1.mar&initial_workers=1&startup_timeout=0';
      for (let tries = 0; tries < 2; tries += 1) {
        refuses(
          await register(query),
          500,
          'InternalServerException',
          'Failed to start workers for model race version: 1.0',
        );
      }
    });

    behaviour(
      '3.1',
      'same',
      'a failed registration tells its cause and goes, even when another version came meanwhile: that one is the default then',
      async () => {
        const failing = register('url=race_1.mar&initial_workers=1');
        await eventually(
          'race 1.0 is registered',
          async () => (await suite.server.admin('/models/race')).status === 200,
        );
        assert.equal((await register('url=race_2.mar')).status, 200);
        refuses(await failing, 500, 'InternalServerException', 'Failed to start workers for model race version: 1.0');
        assert.equal((await suite.server.view('race')).modelVersion, '2.0');
        assert.equal((await suite.server.admin('/models/race/1.0')).status, 404);
        says(await remove('race'), 200, 'Model "race" unregistered');
      },
    );

    behaviour(
      '3.1',
      'same',
      'an asynchronous registration whose worker cannot load keeps the model, and tries the worker again',
      async () => {
        const query = 'url=race_1.mar&initial_workers=1&startup_timeout=0&synchronous=false';
        says(await register(query), 202, 'Processing worker updates...');
        await eventually('the worker is started again', async () => {
          const [worker] = (await suite.server.view('race')).workers as unknown as {
            status: string;
            restarts?: number;
          }[];
          return worker?.status === 'UNLOADING' && (worker.restarts ?? 0) > 0;
        });
        refuses(
          await register(query),
          409,
          'ConflictStatusException',
          'Model version 1.0 is already registered for model race',
        );
        says(await remove('race'), 200, 'Model "race" unregistered');
      },
    );

    behaviour('3.1', 'same', 'synchronous, but not all workers up because somebody scaled them away: 206', async () => {
      const registering = register('url=endless&initial_workers=2');
      await eventually('two workers start', async () => {
        const answer = await suite.server.admin('/models/endless');
        return answer.status === 200 && answer.json<{ workers: unknown[] }[]>()[0]!.workers.length === 2;
      });
      says(await scale('endless?min_worker=0'), 202, 'Processing worker updates...');
      says(await registering, 206, 'Workers scaling in progress...');
    });

    behaviour('3.2', 'same', 'a synchronous scale that others undo meanwhile is 206 as well', async () => {
      const scaling = scale('endless?min_worker=2&synchronous=true');
      await eventually('two workers start', async () => (await suite.server.view('endless')).workers.length === 2);
      says(await scale('endless?min_worker=0'), 202, 'Processing worker updates...');
      says(await scaling, 206, 'Workers scaling in progress...');
      says(await remove('endless'), 200, 'Model "endless" unregistered');
    });
  });
});

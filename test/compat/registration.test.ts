// Registering models over REST (surface spec 3.1, 8.6), against the real server and real workers.
import assert from 'node:assert/strict';
import { describeWithServer } from '../support/compat-suite.ts';
import { managementCalls, refuses, says } from '../support/management-calls.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

const MEMORY_ERROR =
  'class Handler(object):\n    def initialize(self, context):\n        raise MemoryError()\n\n    def handle(self, data, context):\n        return data\n';
const INIT_ERROR = MEMORY_ERROR.replace('MemoryError()', 'RuntimeError("no")');

const fill = (store: TestStore): void => {
  store.addArchive('noop.mar', 'noop', NOOP, { model: { modelVersion: '1.11' } });
  store.add('plain', NOOP);
  store.add('init-error', INIT_ERROR, { config: 'maxRetryTimeoutInSec: 1\n', model: { handler: 'init-error.py' } });
  store.add('memory', MEMORY_ERROR);
  store.add('yaml', NOOP, {
    config: 'minWorkers: 1\nmaxWorkers: 2\nbatchSize: 4\nmaxBatchDelay: 33\nresponseTimeout: 77\n',
  });
  store.add('greedy', NOOP, { config: 'minWorkers: many\nbatchSize: 100000\n' });
  store.add('configured', NOOP, { config: 'batchSize: 4\n' });
};

describeWithServer('registration', fill, { config: ['default_workers_per_model=0'] }, (suite) => {
  const { register, registerJson, scale, remove } = managementCalls(suite);
  const failedToStart = (model: string, version: string): string =>
    `Failed to start workers for model ${model} version: ${version}`;

  behaviour('3.1', 'same', 'without workers: 200 and the advice to scale', async () => {
    says(
      await register('url=noop.mar'),
      200,
      'Model "noop" Version: 1.11 registered with 0 initial workers. Use scale workers API to add workers for the model.',
    );
    await remove('noop');
  });

  behaviour('3.1', 'same', 'with workers, synchronous by default: 200 once all are loaded', async () => {
    says(
      await register('url=noop.mar&initial_workers=1'),
      200,
      'Model "noop" Version: 1.11 registered with 1 initial workers',
    );
    assert.equal((await suite.server.view('noop')).workers[0]!.status, 'READY');
    await remove('noop');
  });

  behaviour(
    '3.1',
    'stricter',
    'what an archive wishes for beyond the limits, or wrongly, it does not get: the answer has a list `warnings` beside `status`',
    async () => {
      const { status, text } = await register('url=greedy');
      assert.equal(status, 200);
      assert.deepEqual(JSON.parse(text), {
        status:
          'Model "greedy" Version: 1.0 registered with 0 initial workers. Use scale workers API to add workers for the model.',
        warnings: [
          'Invalid minWorkers: many, should be integer',
          "batchSize 100000 reduced to 8192, the operator's limit",
        ],
      });
      await remove('greedy');
    },
  );

  behaviour('3.1', 'same', 'asynchronous: 202 at once, the worker comes later', async () => {
    says(await register('url=noop.mar&initial_workers=1&synchronous=false'), 202, 'Processing worker updates...');
    await suite.server.ready('noop');
    await remove('noop');
  });

  behaviour('3.1', 'same', 'the same name and version twice is 409', async () => {
    await register('url=noop.mar&model_name=noop_v1.0');
    refuses(
      await register('url=noop.mar&model_name=noop_v1.0'),
      409,
      'ConflictStatusException',
      'Model version 1.11 is already registered for model noop_v1.0',
    );
    await remove('noop_v1.0');
  });

  behaviour('3.1', 'same', 'a JSON body carries the parameters, and the query is ignored then', async () => {
    says(
      await registerJson(
        '{"url": "noop.mar", "model_name": "js", "initial_workers": 1, "batch_size": 3, "synchronous": true}',
      ),
      200,
      'Model "js" Version: 1.11 registered with 1 initial workers',
    );
    const { batchSize, maxBatchDelay } = await suite.server.view('js');
    assert.deepEqual([batchSize, maxBatchDelay], [3, 100]);
    await remove('js');
  });

  behaviour(
    '3.1',
    'stricter',
    'a JSON body without max_batch_delay means 100 ms, not the -10000 of a constructor bug',
    async () => {
      await registerJson('{"url": "noop.mar", "model_name": "js"}');
      assert.equal((await suite.server.view('js'))['maxBatchDelay'], 100);
      await remove('js');
    },
  );

  behaviour(
    '3.1',
    'same',
    'a JSON body that does not parse is 500 JsonSyntaxException, an empty one 500 NullPointerException',
    async () => {
      const broken = await registerJson('{');
      assert.deepEqual([broken.status, broken.json<{ type: string }>().type], [500, 'JsonSyntaxException']);
      const empty = await registerJson('');
      assert.deepEqual([empty.status, empty.json<{ type: string }>().type], [500, 'NullPointerException']);
    },
  );

  behaviour('3.1', 'same', 'a form body is not read', async () => {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const answer = await suite.server.admin('/models', 'POST', { headers, body: 'url=noop.mar' });
    refuses(answer, 400, 'BadRequestException', 'Parameter url is required.');
  });

  behaviour('3.1', 'same', 'no url is 400, an empty one 404', async () => {
    refuses(await register(''), 400, 'BadRequestException', 'Parameter url is required.');
    refuses(await register('url=&model_name=x'), 404, 'ModelNotFoundException', 'empty url');
  });

  behaviour('3.1', 'same', 'an unknown runtime is 400', async () => {
    refuses(
      await register('url=noop.mar&runtime=InvalidRuntime'),
      400,
      'BadRequestException',
      'Invalid RuntimeType value: InvalidRuntime',
    );
  });

  behaviour('3.1', 'same', 'a url with .. in it is 404', async () => {
    refuses(
      await register('url=../fake.mar'),
      404,
      'ModelNotFoundException',
      'Relative path is not allowed in url: ../fake.mar',
    );
  });

  behaviour('3.1', 'same', 'a file that is not in the model store is 404', async () => {
    refuses(await register('url=none.mar'), 404, 'ModelNotFoundException', 'Model not found at: none.mar');
  });

  behaviour(
    '8.6',
    'stricter',
    'no URL is allowed until allowed_urls names it; TorchServe allows every one',
    async () => {
      const url = 'http://127.0.0.1:1/x.mar';
      refuses(
        await register(`url=${url}`),
        404,
        'ModelNotFoundException',
        `Given URL ${url} does not match any allowed URL(s)`,
      );
      const file = 'file:///etc/passwd';
      refuses(
        await register(`url=${file}`),
        404,
        'ModelNotFoundException',
        `Given URL ${file} does not match any allowed URL(s)`,
      );
    },
  );

  behaviour('8.6', 'stricter', 'a directory outside the model store cannot be registered', async () => {
    const answer = await register('url=/tmp');
    assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [404, 'ModelNotFoundException']);
  });

  behaviour('8.6', 'same', 'a directory inside the model store may be named by its absolute path', async () => {
    const answer = await register(`url=${encodeURIComponent(`${suite.store.dir}/plain`)}`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await suite.server.view('plain'))['modelUrl'], `${suite.store.dir}/plain`);
    await remove('plain');
  });

  behaviour('3.1', 'same', 'numbers and booleans that do not parse fall back to their defaults', async () => {
    for (const query of [
      'batch_size=dd',
      'max_batch_delay=junk',
      'initial_workers=-1',
      'initial_workers=nan',
      'synchronous=-1',
    ]) {
      assert.equal((await register(`url=noop.mar&${query}`)).status, 200, query);
      const { batchSize, maxBatchDelay } = await suite.server.view('noop');
      assert.deepEqual([batchSize, maxBatchDelay], [1, 100], query);
      await remove('noop');
    }
  });

  behaviour('3.1', 'same', 'only the first of a repeated parameter counts, and unknown ones are ignored', async () => {
    assert.equal((await register('url=noop.mar&model_name=first&model_name=second&what=ever')).status, 200);
    assert.equal((await remove('first')).status, 200);
  });

  behaviour(
    '3.1',
    'same',
    'a synchronous registration whose worker cannot load is 500, and leaves nothing registered',
    async () => {
      refuses(
        await register('url=init-error&initial_workers=1'),
        500,
        'InternalServerException',
        failedToStart('init-error', '1.0'),
      );
      assert.equal((await suite.server.admin('/models/init-error')).status, 404);
    },
  );

  behaviour('13.4', 'same', 'a MemoryError while loading is 507', async () => {
    refuses(
      await register('url=memory&initial_workers=1'),
      507,
      'InternalServerException',
      failedToStart('memory', '1.0'),
    );
  });

  behaviour('10.5', 'same', 'startup_timeout=0 fails at once with workers, and is accepted without', async () => {
    refuses(
      await register('url=noop.mar&batch_size=3&initial_workers=3&startup_timeout=0'),
      500,
      'InternalServerException',
      failedToStart('noop', '1.11'),
    );
    assert.equal((await suite.server.admin('/models/noop')).status, 404);
    assert.equal((await register('url=noop.mar&startup_timeout=0')).status, 200);
    await remove('noop');
  });

  behaviour(
    '3.1',
    'same',
    'a handler that does not exist is found out when workers start, not at registration',
    async () => {
      assert.equal((await register('url=noop.mar&handler=invalidHandler')).status, 200);
      refuses(
        await scale('noop?min_worker=1&synchronous=true'),
        500,
        'InternalServerException',
        failedToStart('noop', 'null'),
      );
      await remove('noop');
    },
  );

  behaviour(
    '3.1',
    'stricter',
    'handler= cannot leave the archive: paths, and functions of other modules, are 400',
    async () => {
      for (const handler of ['/tmp/x.py:run', '../x.py', 'os:system', 'sub/x']) {
        const answer = await register(`url=noop.mar&handler=${encodeURIComponent(handler)}`);
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'BadRequestException'], handler);
      }
    },
  );

  behaviour('3.1', 'same', 'minWorkers and maxWorkers of the YAML win over initial_workers', async () => {
    const answer = await register('url=yaml&initial_workers=0');
    says(answer, 200, 'Model "yaml" Version: 1.0 registered with 1 initial workers');
    const { minWorkers, maxWorkers } = await suite.server.view('yaml');
    assert.deepEqual([minWorkers, maxWorkers], [1, 2]);
    await remove('yaml');
  });

  behaviour(
    '13.4',
    'same',
    'batchSize of the YAML holds without a parameter, and gives way to batch_size',
    async () => {
      await register('url=configured');
      assert.equal((await suite.server.view('configured'))['batchSize'], 4);
      await remove('configured');
      await register('url=configured&batch_size=2');
      assert.equal((await suite.server.view('configured'))['batchSize'], 2);
      await remove('configured');
    },
  );

  behaviour(
    '3.1',
    'same',
    'timeouts of a request are ignored when the archive has a YAML: its value, or 120, wins',
    async () => {
      await register('url=yaml&response_timeout=5&startup_timeout=6');
      const yaml = await suite.server.view('yaml');
      assert.deepEqual([yaml['responseTimeout'], yaml['startupTimeout']], [77, 120]);
      await remove('yaml');
      await register('url=noop.mar&response_timeout=5&startup_timeout=6');
      const plain = await suite.server.view('noop');
      assert.deepEqual([plain['responseTimeout'], plain['startupTimeout']], [5, 6]);
      await remove('noop');
    },
  );
});

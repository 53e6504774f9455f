// Describing, listing, scaling and unregistering (surface spec 3.2 to 3.7) at their edges.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'node:test';
import { describeWithServer } from '../support/compat-suite.ts';
import { eventually } from '../support/eventually.ts';
import { managementCalls, refuses, says } from '../support/management-calls.ts';
import { NOOP, SLOW_ECHO, type TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

/** Describes what it was asked with. */
const SPY = `
import json

def handle(data, context):
    if data is None:
        return None
    return [json.dumps({
        "count": len(data),
        "row": data[0],
        "describe": context.get_request_header(0, "describe"),
        "mine": context.get_request_header(0, "X-Mine"),
    })] * len(data)
`;
const MEMORY_ERROR = 'def handle(data, context):\n    raise MemoryError()\n';
const INIT_ERROR = MEMORY_ERROR.replace('MemoryError()', 'RuntimeError("no")');
const SEQUENCE =
  'sequenceBatching: true\nsequenceMaxIdleMSec: 500\nsequenceTimeoutMSec: 600\nmaxNumSequence: 3\nmaxSequenceJobQueueSize: 4\n';
const PARALLEL = 'parallelType: tp\nparallelLevel: 2\ndeviceType: gpu\ndeviceIds: [0, 99]\n';

const fill = (store: TestStore): void => {
  const two = (text: string): object => ({ model: { modelName: 'two', modelVersion: text, handler: 'two.py' } });
  store.addArchive('noop.mar', 'noop', NOOP);
  store.addArchive('two_1.mar', 'two', NOOP.replace('OK', 'ONE'), two('1.0'));
  store.addArchive('two_2.mar', 'two', NOOP.replace('OK', 'TWO'), two('2.0'));
  store.add('spy', SPY);
  store.add('slow', SLOW_ECHO);
  store.add('memory', MEMORY_ERROR);
  store.add('broken', INIT_ERROR);
  store.add('sequence', NOOP, { config: SEQUENCE });
  store.add('unsequenced', NOOP, { config: 'sequenceBatching: true\nmaxNumSequence: 3\n' });
  store.add('parallel', NOOP, { config: PARALLEL });
  store.add('venv', NOOP, { config: 'useVenv: true\n' });
  store.add('packages', NOOP, {
    model: { requirementsFile: 'requirements.txt' },
    files: { 'requirements.txt': 'no-such-package-of-anybody==0.0.1\n' },
  });
};

describeWithServer('management calls', fill, { config: ['default_workers_per_model=0'] }, (suite) => {
  const { register, scale, remove } = managementCalls(suite);
  const described = async (path: string): Promise<Record<string, unknown>[]> =>
    (await suite.server.admin(`/models/${path}`)).json<Record<string, unknown>[]>();
  const workersOf = async (model: string): Promise<number> => (await suite.server.view(model)).workers.length;

  describe('of describe', () => {
    behaviour(
      '3.3',
      'same',
      'engine, status and metrics are never there, though the documentation shows them',
      async () => {
        await register('url=noop.mar&initial_workers=1');
        const [model] = await described('noop');
        for (const name of ['engine', 'status', 'metrics']) assert.equal(name in model!, false, name);
        const [worker] = model!['workers'] as Record<string, unknown>[];
        assert.equal(typeof worker!['memoryUsage'], 'number');
      },
    );

    behaviour(
      '3.3',
      'same',
      'a customized describe sends one job: describe: True, the client’s headers, and no body',
      async () => {
        await register('url=spy&initial_workers=1&batch_size=4');
        const answer = await suite.server.admin('/models/spy?customized=TRUE', 'GET', { headers: { 'X-Mine': 'me' } });
        const [model] = answer.json<Record<string, unknown>[]>();
        assert.deepEqual(model!['customizedMetadata'], { count: 1, row: {}, describe: 'True', mine: 'me' });
        assert.equal(Object.keys(model!).at(-1), 'customizedMetadata');
        const [version] = await described('spy/1.0?customized=true');
        assert.equal((version!['customizedMetadata'] as { mine: unknown }).mine, null);
      },
    );

    behaviour(
      '3.3',
      'same',
      'a handler that knows no describe job answers it as any other, which shows as {}',
      async () => {
        const [model] = await described('noop?customized=true');
        assert.deepEqual(model!['customizedMetadata'], {});
      },
    );

    behaviour('3.3', 'same', 'customized is true in any case and false for everything else', async () => {
      for (const value of ['false', '1', 'yes', '']) {
        const [model] = await described(`spy?customized=${value}`);
        assert.equal('customizedMetadata' in model!, false, value);
      }
      await remove('spy');
    });

    behaviour('3.3', 'same', 'a customized describe of an unknown model or version is 404', async () => {
      refuses(
        await suite.server.admin('/models/none?customized=true'),
        404,
        'ModelNotFoundException',
        'Model not found: none',
      );
      refuses(
        await suite.server.admin('/models/noop/9.9?customized=true'),
        404,
        'ModelVersionNotFoundException',
        'Model version: 9.9 does not exist for model: noop',
      );
      refuses(await suite.server.admin('/models/none/all'), 404, 'ModelNotFoundException', 'Model not found: none');
    });

    behaviour(
      '3.3',
      'same',
      'a model that batches by sequence shows its limits, and zeros without sequenceMaxIdleMSec',
      async () => {
        const keys = 'stateful sequenceMaxIdleMSec sequenceTimeoutMSec maxNumSequence maxSequenceJobQueueSize'.split(
          ' ',
        );
        const shown = async (model: string): Promise<unknown[]> => {
          await register(`url=${model}`);
          const view = await suite.server.view(model);
          await remove(model);
          return keys.map((key) => view[key]);
        };
        assert.deepEqual(await shown('sequence'), [true, 500, 600, 3, 4]);
        assert.deepEqual((await shown('unsequenced')).slice(1), [0, 0, 0, 0]);
      },
    );

    behaviour('3.3', 'same', 'deviceIds with an id that no GPU has are not shown', async () => {
      await register('url=parallel');
      const view = await suite.server.view('parallel');
      assert.deepEqual([view['parallelType'], view['parallelLevel']], ['tp', 2]);
      assert.equal('deviceIds' in view, false);
      await remove('parallel');
    });

    behaviour(
      '8.3',
      'absent',
      'useVenv is shown, and no virtual environment is made: packages are the model’s own anyway',
      async () => {
        await register('url=venv&initial_workers=1');
        assert.equal((await suite.server.view('venv'))['useVenv'], true);
        assert.equal((await suite.server.infer('/predictions/venv')).text, 'OK');
        await remove('venv');
      },
    );

    behaviour('3.3', 'same', 'a worker that never started has pid -1 once it is down', async () => {
      await register('url=broken');
      await scale('broken?min_worker=1');
      await eventually('its worker is down', async () => (await suite.server.view('broken')).workers[0]?.pid === -1);
      assert.equal((await suite.server.view('broken')).workers[0]?.status, 'UNLOADING');
      await remove('broken');
    });
  });

  describe('of scale', () => {
    behaviour(
      '3.2',
      'same',
      'without parameters one worker is wanted; max_worker is min_worker where it is not given',
      async () => {
        says(await scale('noop?synchronous=true'), 200, 'Workers scaled to 1 for model: noop');
        const bounds = async (): Promise<unknown[]> => {
          const view = await suite.server.view('noop');
          return [view['minWorkers'], view['maxWorkers'], view.workers.length];
        };
        assert.deepEqual(await bounds(), [1, 1, 1]);
        says(
          await scale('noop?min_worker=2&max_worker=4&synchronous=TRUE&timeout=0'),
          200,
          'Workers scaled to 2 for model: noop',
        );
        assert.deepEqual(await bounds(), [2, 4, 2]);
        says(await scale('noop?min_worker=1&synchronous=true&timeout=-1'), 200, 'Workers scaled to 1 for model: noop');
        assert.deepEqual(await bounds(), [1, 1, 1]);
      },
    );

    behaviour(
      '3.2',
      'same',
      'a max_worker below the default minimum of one is 400; the version of the path wins over model_version',
      async () => {
        refuses(
          await scale('noop?max_worker=0'),
          400,
          'BadRequestException',
          'max_worker cannot be less than min_worker.',
        );
        says(
          await scale('noop/1.0?model_version=9.9&synchronous=true'),
          200,
          'Workers scaled to 1 for model: noop, version: 1.0',
        );
        refuses(
          await scale('noop?model_version=9.9'),
          404,
          'ModelVersionNotFoundException',
          'Model version: 9.9 does not exist for model: noop',
        );
      },
    );

    behaviour(
      '3.2',
      'stricter',
      'more workers than max_workers_per_model are 400 and change nothing, instead of a machine full of processes',
      async () => {
        const answer = await scale('noop?min_worker=2147483647');
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'BadRequestException']);
        assert.match(answer.text, /max_workers_per_model/);
        assert.equal(await workersOf('noop'), 1);
      },
    );

    behaviour(
      '3.2',
      'same',
      'a scale that fails for want of memory is 507, and names the version where the path did',
      async () => {
        await register('url=memory');
        const failed = (version: string): string => `Failed to start workers for model memory version: ${version}`;
        refuses(await scale('memory?synchronous=true'), 507, 'InternalServerException', failed('null'));
        await scale('memory?min_worker=0&synchronous=true');
        refuses(await scale('memory/1.0?synchronous=true'), 507, 'InternalServerException', failed('1.0'));
        await remove('memory');
      },
    );

    behaviour('3.2', 'same', 'after a scale that failed the model stays and its worker is tried again', async () => {
      await register('url=broken');
      assert.equal((await scale('broken?synchronous=true')).status, 500);
      assert.equal(await workersOf('broken'), 1);
      await suite.server.until(/Retry worker: \d+ in 1 seconds\./);
      await eventually('a second start', async () => {
        const [worker] = (await suite.server.view('broken')).workers as unknown as { restarts?: number }[];
        return (worker?.restarts ?? 0) > 0;
      });
      await remove('broken');
    });
  });

  describe('of the default version', () => {
    behaviour(
      '3.5',
      'same',
      'predictions, scaling and deletion without a version go to the default version',
      async () => {
        await register('url=two_1.mar&initial_workers=1');
        await register('url=two_2.mar&initial_workers=1');
        const predicted = async (path: string): Promise<string> =>
          (await suite.server.infer(`/predictions/${path}`)).text;
        assert.deepEqual([await predicted('two'), await predicted('two/2.0')], ['ONE', 'TWO']);
        assert.equal((await suite.server.admin('/models/two/2.0/set-default', 'PUT')).status, 200);
        assert.deepEqual([await predicted('two'), await predicted('two/1.0')], ['TWO', 'ONE']);
        refuses(
          await remove('two'),
          403,
          'InvalidModelVersionException',
          'Cannot remove default version for model two',
        );
        says(await remove('two/1.0'), 200, 'Model "two" unregistered');
        assert.equal(await predicted('two'), 'TWO');
        says(await remove('two/2.0'), 200, 'Model "two" unregistered');
        refuses(await suite.server.admin('/models/two'), 404, 'ModelNotFoundException', 'Model not found: two');
      },
    );

    behaviour(
      '3.5',
      'stricter',
      'set-default is a PUT: GET and DELETE there are 405 instead of describing and removing the default version',
      async () => {
        for (const method of ['GET', 'DELETE', 'POST']) {
          refuses(
            await suite.server.admin('/models/noop/1.0/set-default', method),
            405,
            'MethodNotAllowedException',
            'Requested method is not allowed, please refer to API document.',
          );
        }
        assert.equal((await suite.server.admin('/models/noop')).status, 200);
      },
    );
  });

  describe('of the whole interface', () => {
    behaviour('3', 'same', 'wrong methods and unknown paths are errors in the reference’s words', async () => {
      const wrongMethod = 'Requested method is not allowed, please refer to API document.';
      const unknownPath = 'Requested resource is not found, please refer to API document.';
      for (const [method, path] of [
        ['PUT', '/models'],
        ['DELETE', '/models'],
        ['POST', '/models/noop'],
        ['POST', '/models/noop/1.0'],
        ['PUT', '/v1/models/noop'],
      ] as const) {
        refuses(await suite.server.admin(path, method), 405, 'MethodNotAllowedException', wrongMethod);
      }
      for (const path of [
        '/',
        '/nothing',
        '/models/noop/1.0/more',
        '/models/noop/1.0/set-default/x',
        '/v1/models',
        '//models',
      ]) {
        const answer = await suite.server.admin(path);
        if (path === '/') refuses(answer, 405, 'MethodNotAllowedException', wrongMethod);
        else refuses(answer, 404, 'ResourceNotFoundException', unknownPath);
      }
    });

    behaviour(
      '3',
      'stricter',
      'on loopback only loopback names are this server, and those of allowed_hosts: a web page cannot reach it by a name of its own',
      async () => {
        const by = async (host: string): Promise<number> =>
          (await suite.server.admin('/models', 'GET', { headers: { host } })).status;
        assert.deepEqual([await by('localhost'), await by('127.0.0.1:1')], [200, 200]);
        assert.equal(await by('rebound.example'), 400);
      },
    );

    behaviour('3', 'same', 'OPTIONS of a version is the same document as OPTIONS of its model', async () => {
      const model = await suite.server.admin('/models/noop', 'OPTIONS');
      const version = await suite.server.admin('/models/noop/1.0', 'OPTIONS');
      assert.equal(model.status, 200);
      assert.deepEqual(version.json(), model.json());
    });
  });

  describe('of unregister', () => {
    behaviour(
      '3.6',
      'stricter',
      'a request in hand may finish, instead of 500 Worker died.; one that waits is told that the model is gone',
      async () => {
        await register('url=slow&initial_workers=1');
        const answers = ['2:a', '2:b'].map((body) => suite.server.infer('/predictions/slow', { method: 'POST', body }));
        await eventually('one of them waits', async () => {
          const { jobQueueStatus } = await suite.server.view('slow');
          return jobQueueStatus.pendingRequests === 1;
        });
        says(await remove('slow'), 200, 'Model "slow" unregistered');
        const [finished, told] = (await Promise.all(answers)).toSorted((a, b) => a.status - b.status);
        assert.deepEqual([finished!.status, finished!.text.length], [200, 1]);
        refuses(told!, 404, 'ModelNotFoundException', 'Model not found: slow');
      },
    );

    behaviour('3.6', 'same', 'the unpacked directory goes with the model', async () => {
      await remove('noop');
      const unpacked = join(suite.server.dir, 'state', 'models');
      await eventually('no unpacked model is left', () => !existsSync(unpacked) || readdirSync(unpacked).length === 0);
    });
  });

  describe('of list', () => {
    interface Page {
      readonly nextPageToken?: string;
      readonly models: readonly { readonly modelName: string; readonly modelUrl: string }[];
    }
    const list = async (query: string): Promise<Page> => (await suite.server.admin(`/models${query}`)).json<Page>();

    behaviour(
      '3.4',
      'same',
      'a page has a hundred models at most: without a limit, with junk, with one below 0 and with one above 100',
      async () => {
        const names = Array.from({ length: 102 }, (_, at) => `m${String(at).padStart(3, '0')}`);
        await Promise.all(names.map((name) => register(`url=noop.mar&model_name=${name}`)));
        for (const query of [
          '',
          '?limit=',
          '?limit=junk',
          '?limit=-1',
          '?limit=101',
          '?limit=2147483647',
          '?limit=99999999999',
        ]) {
          const page = await list(query);
          assert.deepEqual([page.models.length, page.nextPageToken], [100, '100'], query);
        }
        assert.deepEqual(
          [(await list('?limit=99')).models.length, (await list('?limit=1.5')).models.length],
          [99, 100],
        );
      },
    );

    behaviour('3.4', 'same', 'following nextPageToken shows every model once, in order', async () => {
      const seen: string[] = [];
      let token: string | undefined = '0';
      for (let pages = 0; token !== undefined && pages < 20; pages += 1) {
        const page: Page = await list(`?limit=17&next_page_token=${token}`);
        seen.push(...page.models.map(({ modelName }) => modelName));
        token = page.nextPageToken;
      }
      assert.equal(seen.length, 102);
      assert.deepEqual(seen, seen.toSorted());
      assert.equal(new Set(seen).size, 102);
    });

    behaviour(
      '3.4',
      'same',
      'limit=0 is an empty page with its own token; junk and overflowing tokens mean the first page',
      async () => {
        assert.deepEqual(await list('?limit=0'), { nextPageToken: '0', models: [] });
        assert.deepEqual(await list('?limit=0&next_page_token=5'), { nextPageToken: '5', models: [] });
        for (const token of ['', 'junk', '-1', '-2147483648', '99999999999', '1e3', '0x1']) {
          assert.equal((await list(`?limit=1&next_page_token=${token}`)).models[0]?.modelName, 'm000', token);
        }
        for (const token of ['102', '2147483647']) {
          assert.deepEqual((await list(`?next_page_token=${token}`)).models, [], token);
        }
        assert.deepEqual(await list('?limit=2&limit=50&next_page_token=101'), {
          models: [{ modelName: 'm101', modelUrl: 'noop.mar' }],
        });
      },
    );
  });
});

describeWithServer(
  'management calls in another time zone, with debug=true and default_workers_per_model=2',
  fill,
  {
    config: ['debug=true', 'default_workers_per_model=2', 'install_py_dep_per_model=true'],
    env: { TZ: 'Asia/Kolkata' },
  },
  (suite) => {
    const { register } = managementCalls(suite);

    behaviour(
      '3.1',
      'same',
      'initial_workers is default_workers_per_model where it is not given, and 0 is a number',
      async () => {
        says(await register('url=noop.mar'), 200, 'Model "noop" Version: 1.0 registered with 2 initial workers');
        await register('url=noop.mar&model_name=none&initial_workers=0');
        assert.equal((await suite.server.view('none'))['minWorkers'], 0);
      },
    );

    behaviour('3.3', 'same', 'with debug=true the timeouts show as 2147483647', async () => {
      const view = await suite.server.view('noop');
      assert.deepEqual([view['responseTimeout'], view['startupTimeout']], [2_147_483_647, 2_147_483_647]);
    });

    behaviour('3.3', 'same', 'startTime of a worker is the local time with a literal Z', async () => {
      const [worker] = (await suite.server.view('noop')).workers as unknown as { startTime: string }[];
      const aheadMs = Date.parse(worker!.startTime) - Date.now();
      const offsetMs = 5.5 * 3_600_000;
      assert.ok(aheadMs <= offsetMs && aheadMs > offsetMs - 120_000, worker!.startTime);
    });

    behaviour(
      '3.1',
      'same',
      'packages that cannot be installed are 400, and the model stays registered without workers',
      async () => {
        const message = 'Custom pip package installation failed for model packages';
        refuses(await register('url=packages&initial_workers=1'), 400, 'ModelException', message);
        assert.deepEqual((await suite.server.view('packages')).workers, []);
        assert.equal((await register('url=packages')).status, 409);
      },
    );
  },
);

// Scaling, describing, listing and unregistering over REST (surface spec 3.2 to 3.8), against the real server and real workers.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { describeWithServer } from '../support/compat-suite.ts';
import { eventually } from '../support/eventually.ts';
import { managementCalls, refuses, says } from '../support/management-calls.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { isAlive } from '../support/process-tree.ts';
import { behaviour } from './behaviour.ts';

const INIT_ERROR =
  'class Handler(object):\n    def initialize(self, context):\n        raise RuntimeError("no")\n\n    def handle(self, data, context):\n        return data\n';
const CUSTOMIZED = `
import json
import time

class Described(object):
    def initialize(self, context):
        pass

    def handle(self, data, context):
        if context.get_request_header(0, "describe") == "True":
            wish = context.get_request_header(0, "X-Answer")
            if wish == "slow":
                time.sleep(2)
            if wish == "list":
                return [json.dumps([1])]
            if wish == "none":
                return [None]
            return [json.dumps({"data1": "1", "data2": "2"})]
        return ["OK"] * len(data)
`;

const fill = (store: TestStore): void => {
  const version = (text: string): object => ({ model: { modelName: 'noop', modelVersion: text } });
  store.addArchive('noop.mar', 'noop', NOOP, version('1.11'));
  store.addArchive('noop_v2.mar', 'noop', NOOP, version('1.2.1'));
  store.add('plain', NOOP);
  store.add('init-error', INIT_ERROR, { config: 'maxRetryTimeoutInSec: 1\n', model: { handler: 'init-error.py' } });
  store.add('custom', CUSTOMIZED);
  store.add('quick', CUSTOMIZED, { config: 'responseTimeout: 1\n' });
};

const options = { config: ['default_workers_per_model=0', 'initial_worker_port=9500'] };

describeWithServer('management', fill, options, (suite) => {
  const { register, scale, remove } = managementCalls(suite);

  describe('scale', () => {
    behaviour('3.2', 'same', 'is asynchronous unless told: 202', async () => {
      await register('url=noop.mar');
      says(await scale('noop?min_worker=1'), 202, 'Processing worker updates...');
      await suite.server.ready('noop', 1);
      says(await scale('noop'), 202, 'Processing worker updates...');
    });

    behaviour('3.2', 'same', 'synchronous: 200 with the number, and the version where one was named', async () => {
      says(await scale('noop?min_worker=2&synchronous=true'), 200, 'Workers scaled to 2 for model: noop');
      says(
        await scale('noop/1.11?min_worker=1&synchronous=true'),
        200,
        'Workers scaled to 1 for model: noop, version: 1.11',
      );
      says(
        await scale('noop?model_version=1.11&min_worker=1&synchronous=true'),
        200,
        'Workers scaled to 1 for model: noop, version: 1.11',
      );
      assert.equal((await suite.server.view('noop')).workers.length, 1);
    });

    behaviour(
      '3.2',
      'same',
      'the newest workers beyond the maximum go; a count between minimum and maximum stays',
      async () => {
        await scale('noop?min_worker=3&synchronous=true');
        const ids = (await suite.server.view('noop')).workers.map(({ id }) => id);
        await scale('noop?min_worker=1&max_worker=3&synchronous=true');
        assert.deepEqual(
          (await suite.server.view('noop')).workers.map(({ id }) => id),
          ids,
        );
        await scale('noop?min_worker=1&max_worker=2&synchronous=true');
        assert.deepEqual(
          (await suite.server.view('noop')).workers.map(({ id }) => id),
          ids.slice(0, 2),
        );
      },
    );

    behaviour('3.2', 'same', 'zero stops all workers, and requests get 503', async () => {
      says(await scale('noop?min_worker=0&synchronous=true'), 200, 'Workers scaled to 0 for model: noop');
      assert.equal((await suite.server.infer('/predictions/noop')).status, 503);
      assert.equal((await suite.server.view('noop')).workers.length, 0);
    });

    behaviour(
      '3.2',
      'same',
      'number_gpu and timeout are accepted and ignored; junk in booleans means false',
      async () => {
        for (const query of [
          'number_gpu=1',
          'number_gpu=-1',
          'timeout=-1',
          'timeout=0',
          'synchronous=Nan',
          'min_worker=nan',
        ]) {
          assert.equal((await scale(`noop?${query}`)).status, 202, query);
        }
      },
    );

    behaviour('3.2', 'same', 'a maximum below the minimum is 400', async () => {
      const message = 'max_worker cannot be less than min_worker.';
      refuses(await scale('noop?min_worker=2&max_worker=1'), 400, 'BadRequestException', message);
      refuses(await scale('noop?max_worker=-1'), 400, 'BadRequestException', message);
    });

    behaviour('3.2', 'same', 'a negative minimum is 500 IndexOutOfBoundsException', async () => {
      const answer = await scale('noop?min_worker=-1');
      assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [500, 'IndexOutOfBoundsException']);
    });

    behaviour('3.2', 'same', 'an unknown model or version is 404', async () => {
      refuses(await scale('none?min_worker=1'), 404, 'ModelNotFoundException', 'Model not found: none');
      refuses(
        await scale('noop/9.9?min_worker=1'),
        404,
        'ModelVersionNotFoundException',
        'Model version: 9.9 does not exist for model: noop',
      );
      await remove('noop');
    });

    behaviour(
      '13.4',
      'same',
      'a synchronous scale that fails says version: null when none was named, and keeps the model',
      async () => {
        await register('url=init-error');
        const answer = await scale('init-error?min_worker=1&synchronous=true');
        refuses(answer, 500, 'InternalServerException', 'Failed to start workers for model init-error version: null');
        assert.equal((await suite.server.admin('/models/init-error')).status, 200);
        await remove('init-error');
      },
    );
  });

  describe('describe', () => {
    behaviour('3.3', 'same', 'is an array with TorchServe’s members in TorchServe’s order', async () => {
      await register('url=noop.mar&initial_workers=1');
      const [document] = (await suite.server.admin('/models/noop')).json<Record<string, unknown>[]>();
      const documented =
        'modelName modelVersion modelUrl runtime minWorkers maxWorkers batchSize maxBatchDelay responseTimeout startupTimeout maxRetryTimeoutInSec clientTimeoutInMills parallelType parallelLevel deviceType continuousBatching useJobTicket useVenv stateful sequenceMaxIdleMSec sequenceTimeoutMSec maxNumSequence maxSequenceJobQueueSize loadedAtStartup workers jobQueueStatus';
      assert.deepEqual(Object.keys(document!).slice(0, 26), documented.split(' '));
      const { workers, ...rest } = Object.fromEntries(Object.entries(document!).slice(0, 26));
      assert.deepEqual(rest, {
        modelName: 'noop',
        modelVersion: '1.11',
        modelUrl: 'noop.mar',
        runtime: 'python',
        minWorkers: 1,
        maxWorkers: 1,
        batchSize: 1,
        maxBatchDelay: 100,
        responseTimeout: 120,
        startupTimeout: 120,
        maxRetryTimeoutInSec: 300,
        clientTimeoutInMills: 0,
        parallelType: '',
        parallelLevel: 0,
        deviceType: 'cpu',
        continuousBatching: false,
        useJobTicket: false,
        useVenv: false,
        stateful: false,
        sequenceMaxIdleMSec: 0,
        sequenceTimeoutMSec: 0,
        maxNumSequence: 0,
        maxSequenceJobQueueSize: 0,
        loadedAtStartup: false,
        jobQueueStatus: { remainingCapacity: 100, pendingRequests: 0 },
      });
      assert.equal((workers as unknown[]).length, 1);
    });

    behaviour('3.3', 'same', 'a worker shows id, start time, status, memory, pid and GPU', async () => {
      const [worker] = (await suite.server.view('noop')).workers as unknown as Record<string, unknown>[];
      assert.deepEqual(Object.keys(worker!), ['id', 'startTime', 'status', 'memoryUsage', 'pid', 'gpu', 'gpuUsage']);
      assert.match(String(worker!['id']), /^9[5-9]\d\d$/);
      assert.match(String(worker!['startTime']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.deepEqual([worker!['status'], worker!['gpu'], worker!['gpuUsage']], ['READY', false, 'N/A']);
      assert.ok(Number(worker!['pid']) > 1);
      assert.equal(process.kill(Number(worker!['pid']), 0), true);
    });

    behaviour('3.3', 'same', 'answers are indented by two spaces', async () => {
      assert.match((await suite.server.admin('/models/noop')).text, /^\[\n {2}\{\n {4}"modelName": "noop",\n/);
    });

    behaviour('3.3', 'same', 'all shows one element for each version; a version shows its own', async () => {
      await register('url=noop_v2.mar');
      const versions = async (path: string): Promise<unknown[]> =>
        (await suite.server.admin(`/models/noop${path}`))
          .json<{ modelVersion: string }[]>()
          .map(({ modelVersion }) => modelVersion);
      assert.deepEqual((await versions('/all')).toSorted(), ['1.11', '1.2.1']);
      assert.deepEqual(await versions('/1.2.1'), ['1.2.1']);
      assert.deepEqual(await versions(''), ['1.11']);
    });

    behaviour('3.3', 'same', 'an unknown model or version is 404', async () => {
      refuses(
        await suite.server.admin('/models/InvalidModel'),
        404,
        'ModelNotFoundException',
        'Model not found: InvalidModel',
      );
      refuses(
        await suite.server.admin('/models/noop/1.3.1'),
        404,
        'ModelVersionNotFoundException',
        'Model version: 1.3.1 does not exist for model: noop',
      );
    });

    behaviour('3.3', 'same', 'a worker that is starting or down shows UNLOADING', async () => {
      await register('url=init-error&model_name=down&handler=init-error.py');
      await scale('down?min_worker=1');
      const { workers } = await suite.server.view('down');
      assert.equal(workers[0]!.status, 'UNLOADING');
      await remove('down');
    });

    behaviour('3.3', 'same', 'customized=true adds the handler’s own metadata as an object', async () => {
      await register('url=custom&initial_workers=1');
      const custom = async (wish: string): Promise<Record<string, unknown>> => {
        const answer = await suite.server.admin('/models/custom?customized=true', 'GET', {
          headers: { 'X-Answer': wish },
        });
        return answer.json<Record<string, unknown>[]>()[0]!;
      };
      assert.deepEqual((await custom('dict'))['customizedMetadata'], { data1: '1', data2: '2' });
      assert.deepEqual((await custom('list'))['customizedMetadata'], {});
      assert.equal((await custom('none'))['customizedMetadata'], undefined);
      assert.equal((await suite.server.view('custom'))['customizedMetadata'], undefined);
    });

    behaviour('3.3', 'same', 'with all the wish for customized metadata is ignored', async () => {
      const answer = await suite.server.admin('/models/custom/all?customized=true');
      assert.equal(answer.json<Record<string, unknown>[]>()[0]!['customizedMetadata'], undefined);
      await remove('custom');
    });

    behaviour('3.3', 'same', 'a customized describe without a worker is 503', async () => {
      await register('url=custom');
      refuses(
        await suite.server.admin('/models/custom?customized=true'),
        503,
        'ServiceUnavailableException',
        'Model "custom" has no worker to serve describe request. Please use scale workers API to add workers.',
      );
      await remove('custom');
    });

    behaviour('3.3', 'same', 'a customized describe that gets no reply in time is 500', async () => {
      await register('url=quick&initial_workers=1');
      refuses(
        await suite.server.admin('/models/quick?customized=true', 'GET', { headers: { 'X-Answer': 'slow' } }),
        500,
        'InternalServerException',
        'Failed to get customized model matadata.',
      );
      await remove('quick');
    });
  });

  describe('default versions', () => {
    behaviour(
      '3.5',
      'same',
      'the first registered version is the default, until set-default names another',
      async () => {
        assert.equal((await suite.server.view('noop')).modelVersion, '1.11');
        says(
          await suite.server.admin('/models/noop/1.2.1/set-default', 'PUT'),
          200,
          'Default version successfully updated for model "noop" to "1.2.1"',
        );
        assert.equal((await suite.server.view('noop')).modelVersion, '1.2.1');
        await suite.server.admin('/models/noop/1.11/set-default', 'PUT');
      },
    );

    behaviour('3.5', 'same', 'unknown models and versions are 404, the version in words of its own', async () => {
      refuses(
        await suite.server.admin('/models/none/1/set-default', 'PUT'),
        404,
        'ModelNotFoundException',
        'Model not found: none',
      );
      refuses(
        await suite.server.admin('/models/noop/3.3.3/set-default', 'PUT'),
        404,
        'ModelVersionNotFoundException',
        'Model version 3.3.3 does not exist for model noop',
      );
    });

    behaviour('3.6', 'same', 'the default version cannot be removed while others exist', async () => {
      refuses(
        await remove('noop/1.11'),
        403,
        'InvalidModelVersionException',
        'Cannot remove default version for model noop',
      );
    });
  });

  describe('list', () => {
    interface Page {
      readonly nextPageToken?: string;
      readonly models: readonly { readonly modelName: string; readonly modelUrl: string }[];
    }
    const list = async (query: string): Promise<Page> => (await suite.server.admin(`/models${query}`)).json<Page>();
    const NAMES = ['Zed', 'a', 'b', 'noop'];

    behaviour('3.4', 'same', 'names come in code-point order with the URL of the default version', async () => {
      for (const name of ['b', 'Zed', 'a']) await register(`url=plain&model_name=${name}`);
      const page = await list('');
      assert.deepEqual(
        page.models.map(({ modelName }) => modelName),
        NAMES,
      );
      assert.equal(page.models[3]!.modelUrl, 'noop.mar');
      assert.equal(page.nextPageToken, undefined);
    });

    behaviour('3.4', 'same', 'limit cuts pages, and nextPageToken is the text of the next index', async () => {
      const first = await list('?limit=3');
      assert.deepEqual([first.models.length, first.nextPageToken], [3, '3']);
      const second = await list('?limit=3&next_page_token=3');
      assert.deepEqual([second.models.map(({ modelName }) => modelName), second.nextPageToken], [['noop'], undefined]);
    });

    behaviour(
      '3.4',
      'same',
      'a page that ends exactly at the last model still has a token, to an empty page',
      async () => {
        const page = await list('?limit=4');
        assert.equal(page.nextPageToken, '4');
        assert.deepEqual((await list('?limit=4&next_page_token=4')).models, []);
      },
    );

    behaviour(
      '3.4',
      'same',
      'limits above 100 or below 0 mean 100, 0 an empty page; tokens below 0 mean 0, beyond the end an empty page',
      async () => {
        assert.equal((await list('?limit=-1')).models.length, 4);
        assert.equal((await list('?limit=101')).models.length, 4);
        assert.deepEqual((await list('?limit=0')).models, []);
        assert.equal((await list('?limit=&next_page_token=')).models.length, 4);
        assert.equal((await list('?next_page_token=-5')).models.length, 4);
        assert.deepEqual((await list('?next_page_token=12')).models, []);
        for (const name of ['a', 'b', 'Zed']) await remove(name);
      },
    );
  });

  describe('unregister', () => {
    behaviour('3.6', 'same', 'a version, then the rest: 200 with the name', async () => {
      says(await remove('noop/1.2.1'), 200, 'Model "noop" unregistered');
      says(await remove('noop?synchronous=junk&timeout=-1'), 200, 'Model "noop" unregistered');
    });

    behaviour('3.6', 'same', 'an unknown model or version is 404', async () => {
      refuses(await remove('noop'), 404, 'ModelNotFoundException', 'Model not found: noop');
      await register('url=noop.mar');
      refuses(
        await remove('noop/9.9'),
        404,
        'ModelVersionNotFoundException',
        'Model version: 9.9 does not exist for model: noop',
      );
      says(await remove('noop/'), 200, 'Model "noop" unregistered');
    });

    behaviour('3.6', 'same', 'its workers are gone with it, and the file in the model store stays', async () => {
      await register('url=noop.mar&initial_workers=1');
      const { pid } = (await suite.server.view('noop')).workers[0]!;
      await remove('noop');
      await eventually('the worker ends', () => !isAlive(pid));
      assert.equal((await register('url=noop.mar')).status, 200);
      await remove('noop');
    });
  });

  describe('KServe readiness', () => {
    behaviour('3.8', 'same', 'ready is true once the model has a worker, loaded or not', async () => {
      await register('url=noop.mar');
      const at = async (): Promise<string> => (await suite.server.admin('/v1/models/noop')).text;
      assert.equal(await at(), '{\n  "name": "noop",\n  "ready": false\n}\n');
      await scale('noop?min_worker=1');
      assert.equal(await at(), '{\n  "name": "noop",\n  "ready": true\n}\n');
      await remove('noop');
    });

    behaviour('3.8', 'same', 'an unknown model is 404, another method 405', async () => {
      refuses(await suite.server.admin('/v1/models/none'), 404, 'ModelNotFoundException', 'Model not found: none');
      assert.equal((await suite.server.admin('/v1/models/none', 'POST')).status, 405);
    });
  });

  describe('other methods and paths', () => {
    behaviour('3', 'same', 'another method on a known path is 405, another path 404', async () => {
      for (const [method, path] of [
        ['PATCH', '/models'],
        ['POST', '/models/noop'],
        ['PATCH', '/models/noop/1.0'],
      ] as const) {
        const answer = await suite.server.admin(path, method);
        assert.deepEqual(
          [answer.status, answer.json<{ type: string }>().type],
          [405, 'MethodNotAllowedException'],
          path,
        );
      }
      assert.equal((await suite.server.admin('/predictions/noop')).status, 404);
    });

    behaviour('12.1', 'same', 'workflows cannot be registered, and none exist', async () => {
      const create = await suite.server.admin('/workflows?url=x.war', 'POST');
      refuses(create, 400, 'BadRequestException', 'Registering new workflows is disabled.');
      assert.deepEqual((await suite.server.admin('/workflows')).json(), { workflows: [] });
      for (const method of ['GET', 'DELETE']) {
        refuses(
          await suite.server.admin('/workflows/w', method),
          404,
          'WorkflowNotFoundException',
          'Workflow not found: w',
        );
      }
      assert.equal((await suite.server.admin('/workflows', 'PUT')).status, 405);
      for (const method of ['GET', 'POST', 'PUT']) {
        const answer = await suite.server.infer('/wfpredict/w', { method });
        refuses(answer, 404, 'WorkflowNotFoundException', 'Workflow not found: w');
      }
      const nameless = await suite.server.infer('/wfpredict');
      assert.deepEqual([nameless.status, nameless.json<{ type: string }>().type], [404, 'ResourceNotFoundException']);
      assert.deepEqual((await suite.server.admin('/workflows?limit=1&next_page_token=3')).json(), { workflows: [] });
    });
  });
});

describeWithServer(
  'management with unregister_model_timeout=0',
  fill,
  { config: ['unregister_model_timeout=0'] },
  (suite) => {
    behaviour(
      '13.4',
      'same',
      'unregistering a model with workers times out with 408, and the model stays',
      async () => {
        await suite.server.admin('/models?url=noop.mar&model_name=noop_v1.0&initial_workers=1', 'POST');
        const answer = await suite.server.admin('/models/noop_v1.0', 'DELETE');
        refuses(answer, 408, 'RequestTimeoutException', 'Timed out while cleaning resources: noop_v1.0');
        assert.equal((await suite.server.admin('/models/noop_v1.0')).status, 200);
      },
    );
  },
);

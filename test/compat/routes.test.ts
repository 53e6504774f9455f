// The inference listener's routes (surface spec 1.3, 2.1, 2.2) on the real server, with a real handler that says what came.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { errorBody, startCompatServer } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { exchange, type Exchanged, type ExchangeOptions } from '../support/http-exchange.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { PROBE, type Probed } from '../support/probe-handlers.ts';
import { behaviour } from './behaviour.ts';

const NOT_FOUND = errorBody(
  404,
  'ResourceNotFoundException',
  'Requested resource is not found, please refer to API document.',
);
const NOT_ALLOWED = errorBody(
  405,
  'MethodNotAllowedException',
  'Requested method is not allowed, please refer to API document.',
);

/** Says which version it is, so that a test sees which one ran. */
const VERSION_2 = `
def handle(data, context):
    return None if data is None else ["version " + context.manifest["model"]["modelVersion"]] * len(data)
`;

const fill = (store: TestStore): void => {
  store.add('probe', PROBE);
  // A module's name cannot have dots; a model's can.
  store.add('dotted.name-1_x', '', { model: { handler: 'noop.py' }, files: { 'noop.py': NOOP } });
  store.addArchive('v1.mar', 'twice', VERSION_2);
  store.addArchive('v2.mar', 'twice', VERSION_2, { model: { modelName: 'twice', modelVersion: '2.0' } });
};

const options = { models: ['probe', 'dotted.name-1_x'], config: ['plugins_path=/opt/plugins'] };

describeWithServer('the routes of inference', fill, options, (suite) => {
  const at = (path: string, options: ExchangeOptions = {}): Promise<Exchanged> => suite.server.infer(path, options);
  const headersSeen = async (path: string): Promise<Probed['headers']> => {
    const answer = await at(path, { method: 'POST', body: 'x' });
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.json<Probed>().headers;
  };
  const isNotFound = async (path: string, options: ExchangeOptions = {}): Promise<void> => {
    const answer = await at(path, options);
    assert.deepEqual([answer.status, answer.text], [404, NOT_FOUND], path);
  };

  describe('for predictions', () => {
    behaviour(
      '2.1',
      'same',
      '/predictions/{model}[/{version}[/{rest...}]]: the rest goes to the handler as url_path',
      async () => {
        for (const [path, rest] of [
          ['/predictions/probe', ''],
          ['/predictions/probe/', ''],
          ['/predictions/probe///', ''],
          ['/predictions/probe/1.0', ''],
          ['/predictions/probe/1.0/v1', 'v1'],
          ['/predictions/probe/1.0/v1/chat/completions', 'v1/chat/completions'],
          ['/predictions/probe/1.0/v1/chat/completions/?a=b', 'v1/chat/completions'],
          ['/predictions/probe/1.0/with%20blank/x%3Fy', 'with blank/x?y'],
        ] as const) {
          const headers = await headersSeen(path);
          assert.deepEqual([headers['url_path'], headers['explain']], [rest, 'False'], path);
        }
      },
    );

    behaviour(
      '2.1',
      'same',
      '/explanations/{model}[/{version}[/{rest...}]] is the same with explain: True',
      async () => {
        for (const [path, rest] of [
          ['/explanations/probe', ''],
          ['/explanations/probe/1.0', ''],
          ['/explanations/probe/1.0/a/b', 'a/b'],
        ] as const) {
          const headers = await headersSeen(path);
          assert.deepEqual([headers['url_path'], headers['explain']], [rest, 'True'], path);
        }
      },
    );

    behaviour('2.1', 'same', 'a version in the path runs that version, without one the default runs', async () => {
      await suite.server.admin('/models?url=v1.mar&initial_workers=1', 'POST');
      await suite.server.admin('/models?url=v2.mar&initial_workers=1', 'POST');
      for (const [path, version] of [
        ['/predictions/twice', '1.0'],
        ['/predictions/twice/1.0', '1.0'],
        ['/predictions/twice/2.0', '2.0'],
        ['/explanations/twice/2.0', '2.0'],
        ['/twice/2.0/predict', '2.0'],
        ['/twice/predict', '1.0'],
        ['/v1/models/twice:predict', '1.0'],
        ['/v2/models/twice/infer', '1.0'],
        ['/models/twice/invoke', '1.0'],
      ] as const) {
        assert.equal((await at(path)).text, `version ${version}`, path);
      }
      await suite.server.admin('/models/twice/2.0/set-default', 'PUT');
      for (const path of ['/predictions/twice', '/v1/models/twice:predict', '/v2/models/twice/infer']) {
        assert.equal((await at(path)).text, 'version 2.0', path);
      }
      await suite.server.admin('/models/twice/1.0', 'DELETE');
      await suite.server.admin('/models/twice', 'DELETE');
    });

    behaviour('2.1', 'same', 'path segments are percent-decoded before they are matched', async () => {
      for (const path of [
        '/predictions/dotted%2Ename%2D1%5fx',
        '/%70redictions/dotted.name-1_x',
        '/predictions/dotted.name-1_x/1%2e0',
        '/v2/models/dotted%2ename-1_x/infer',
        '/dotted%2ename-1_x/predict',
      ]) {
        assert.equal((await at(path)).text, 'OK', path);
      }
      const slash = await at('/predictions/a%2Fb');
      assert.equal(slash.text, errorBody(404, 'ModelNotFoundException', 'Model not found: a/b'));
    });

    behaviour('2.1', 'same', 'the method is not checked on any prediction route', async () => {
      for (const path of [
        '/predictions/probe',
        '/explanations/probe/1.0',
        '/invocations?model_name=probe',
        '/models/probe/invoke',
        '/probe/predict',
        '/probe/1.0/predict',
        '/v1/models/probe:predict',
        '/v1/models/probe:explain',
        '/v2/models/probe/infer',
        '/v2/models/probe/explain',
      ]) {
        for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND']) {
          const answer = await at(path, { method });
          assert.deepEqual([answer.status, answer.json<Probed>().batch], [200, 1], `${method} ${path}`);
        }
        const head = await at(path, { method: 'HEAD' });
        assert.deepEqual([head.status, head.text], [200, ''], path);
        assert.notEqual(head.headers['content-length'], '0');
      }
    });

    behaviour('2.1', 'stricter', 'TRACE runs nothing, and a method that HTTP has no name for is 400', async () => {
      for (const path of ['/predictions/probe', '/invocations?model_name=probe']) {
        const answer = await at(path, { method: 'TRACE' });
        assert.deepEqual([answer.status, answer.text], [405, NOT_ALLOWED]);
      }
      const unheard = await fetch(`${suite.server.inference}/predictions/probe`, { method: 'BREW' });
      assert.deepEqual(
        [unheard.status, ((await unheard.json()) as { type: string }).type],
        [400, 'BadRequestException'],
      );
    });

    behaviour('2.1', 'stricter', 'a path whose percent sequences are not UTF-8 is 400', async () => {
      const answer = await at('/predictions/%ff');
      assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'BadRequestException']);
    });

    behaviour('2.1', 'same', 'KServe’s v1 verbs count wherever they stand in the segment', async () => {
      for (const [path, explain] of [
        ['/v1/models/probe:predict', 'False'],
        ['/v1/models/probe:predict/', 'False'],
        ['/v1/models/probe:predictions', 'False'],
        ['/v1/models/probe:explain', 'True'],
      ] as const) {
        assert.equal((await headersSeen(path))['explain'], explain, path);
      }
    });

    behaviour('2.1', 'same', '/invocations: the name from the query, then from the form, else 400', async () => {
      const form = (name: string): ExchangeOptions => ({
        method: 'POST',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: `model_name=${name}`,
      });
      assert.equal((await at('/invocations?model_name=dotted.name-1_x', form('probe'))).text, 'OK');
      assert.equal((await at('/invocations', form('dotted.name-1_x'))).text, 'OK');
      const json = { 'Content-Type': 'application/json' };
      // Two models were loaded at start: neither is meant.
      for (const options of [{}, { method: 'POST', headers: json, body: '{"model_name": "probe"}' }]) {
        const answer = await at('/invocations', options);
        assert.deepEqual(
          [answer.status, answer.text],
          [400, errorBody(400, 'BadRequestException', 'Parameter model_name is required.')],
        );
      }
    });
  });

  describe('for everything else', () => {
    behaviour('2.1', 'same', 'OPTIONS on any prediction route describes the model and runs nothing', async () => {
      for (const path of [
        '/predictions/probe',
        '/predictions/probe/1.0',
        '/predictions/probe/1.0/rest',
        '/explanations/probe',
        '/invocations?model_name=probe',
        '/models/probe/invoke',
        '/probe/predict',
        '/probe/1.0/predict',
        '/v1/models/probe:predict',
        '/v2/models/probe/infer',
      ]) {
        const answer = await at(path, { method: 'OPTIONS' });
        assert.equal(answer.json<{ info: { title: string } }>().info.title, 'RESTful API for: probe', path);
        assert.equal(answer.headers['content-type'], 'application/json');
      }
    });

    behaviour('2.1', 'same', 'OPTIONS on a route of a model that does not exist is 404', async () => {
      for (const path of ['/predictions/none', '/v1/models/none:predict', '/invocations?model_name=none']) {
        const answer = await at(path, { method: 'OPTIONS' });
        assert.equal(answer.text, errorBody(404, 'ModelNotFoundException', 'Model not found: none'), path);
      }
      assert.equal(
        (await at('/predictions/probe/7', { method: 'OPTIONS' })).text,
        errorBody(404, 'ModelVersionNotFoundException', 'Model version: 7 does not exist for model: probe'),
      );
    });

    behaviour('2.1', 'same', 'without a model, or with another word behind it, a path is 404', async () => {
      for (const path of [
        '/predictions',
        '/predictions/',
        '/explanations',
        '/explanations/',
        '/models',
        '/models/probe',
        '/models/probe/other',
        '/models/probe/1.0',
        '/v1',
        '/v1/models',
        '/v1/models/probe',
        '/v1/models/probe:other',
        '/v2/models/probe',
        '/v2/models/probe/ready',
        '/probe/predictx',
        '/probe/1.0/x/predict',
        '/metrics',
        '/token',
        '/workflows',
        '/wfpredict',
        '/PREDICTIONS/probe',
        '//predictions/probe',
        '/pingx',
        '/favicon.ico',
      ]) {
        await isNotFound(path);
        await isNotFound(path, { method: 'POST', body: 'x' });
      }
    });

    behaviour(
      '2.1',
      'absent',
      'Java plugins are not loaded: the log says so, and their endpoints are 404',
      async () => {
        await suite.server.until(/plugins_path/);
        await isNotFound('/execution-parameters');
      },
    );

    behaviour('2.1', 'same', '/wfpredict/{workflow}, in any letter case: no workflow is known', async () => {
      for (const path of ['/wfpredict/w', '/WFPREDICT/w', '/wfPredict/w/']) {
        const answer = await at(path, { method: 'POST', body: 'x' });
        assert.equal(answer.text, errorBody(404, 'WorkflowNotFoundException', 'Workflow not found: w'), path);
      }
    });

    behaviour('2.1', 'same', '/ping by any method, also with something behind it', async () => {
      for (const path of ['/ping', '/ping/', '/ping/x', '/ping/x/y?z']) {
        for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
          const answer = await at(path, { method });
          assert.deepEqual([answer.status, answer.text], [200, '{\n  "status": "Healthy"\n}\n'], `${method} ${path}`);
        }
      }
    });

    behaviour('2.1', 'same', 'OPTIONS / describes each listener, any other method is 405 on all three', async () => {
      for (const base of [suite.server.inference, suite.server.management, suite.server.metrics]) {
        const described = await exchange(base, { method: 'OPTIONS' });
        assert.equal(described.json<{ openapi: string }>().openapi, '3.0.1');
        for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
          const answer = await exchange(`${base}/`, { method });
          assert.deepEqual([answer.status, answer.text], [405, NOT_ALLOWED], `${method} ${base}/`);
        }
        for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
          assert.equal((await exchange(`${base}/api-description`, { method })).text, described.text);
        }
        const missing = await exchange(`${base}/nowhere`);
        assert.deepEqual([missing.status, missing.text], [404, NOT_FOUND]);
      }
    });

    behaviour('1.3', 'same', 'a route belongs to one listener: the others answer 404', async () => {
      const { inference, management, metrics } = suite.server;
      const owners: readonly (readonly [string, string])[] = [
        ['/predictions/probe', inference],
        ['/explanations/probe', inference],
        ['/invocations?model_name=probe', inference],
        ['/v2/models/probe/infer', inference],
        ['/ping', inference],
        ['/models', management],
        ['/models/probe', management],
        ['/v1/models/probe', management],
        ['/workflows', management],
        ['/metrics', metrics],
      ];
      for (const [path, owner] of owners) {
        for (const base of [inference, management, metrics]) {
          const answer = await exchange(`${base}${path}`);
          assert.equal(answer.status, base === owner ? 200 : 404, `${base}${path}: ${answer.text}`);
          if (base !== owner) assert.equal(answer.text, NOT_FOUND);
        }
      }
    });
  });
});

/** Is loading for as long as its test looks. */
const LOADS_SLOWLY = `
import time

class Late(object):
    def initialize(self, context):
        time.sleep(60)

    def handle(self, data, context):
        return ["late"] * len(data)
`;

describe('health', () => {
  behaviour('2.2', 'same', '/ping is Healthy without any model, and while a worker is still loading', async () => {
    using store = makeModelStore();
    store.add('late', LOADS_SLOWLY);
    await using server = await startCompatServer({ modelStore: store.dir });
    const healthy = async (): Promise<void> => {
      const answer = await server.infer('/ping');
      assert.deepEqual([answer.status, answer.text], [200, '{\n  "status": "Healthy"\n}\n']);
    };
    await healthy();
    assert.equal((await server.admin('/models?url=late&initial_workers=1&synchronous=false', 'POST')).status, 202);
    assert.equal((await server.view('late')).workers[0]?.status, 'UNLOADING');
    await healthy();
  });
});

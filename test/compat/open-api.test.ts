// The documents that OPTIONS answers with (surface spec 2.11), as a generator of clients reads them.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { errorBody } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { exchange } from '../support/http-exchange.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

interface Parameter {
  readonly in: string;
  readonly name: string;
  readonly required: boolean;
  readonly description: string;
  readonly schema: { readonly type: string; readonly default?: unknown };
}

interface Operation {
  readonly operationId: string;
  readonly description: string;
  readonly deprecated?: boolean;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: object; readonly required: boolean };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content: Readonly<Record<string, { schema: object }>> }>
  >;
}

interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const fill = (store: TestStore): void => store.add('probe', NOOP);

describeWithServer('the API descriptions', fill, { models: ['probe'] }, (suite) => {
  const at = async (listener: 'inference' | 'management' | 'metrics', path = '/'): Promise<OpenApi> =>
    (await exchange(`${suite.server[listener]}${path}`, { method: 'OPTIONS' })).json();
  const operations = ({ paths }: OpenApi): Record<string, string[]> =>
    Object.fromEntries(
      Object.entries(paths).map(([path, item]) => [
        path,
        Object.entries(item).map(([verb, { operationId }]) => `${verb} ${operationId}`),
      ]),
    );
  const codes = (operation: Operation | undefined): string[] => Object.keys(operation?.responses ?? {});
  const parameters = (operation: Operation | undefined): Record<string, string> =>
    Object.fromEntries((operation?.parameters ?? []).map(({ name, schema }) => [name, schema.type]));
  const everyDocument = async (): Promise<OpenApi[]> => [
    await at('inference'),
    await at('management'),
    await at('metrics'),
    await at('inference', '/predictions/probe'),
    await at('management', '/models/probe'),
  ];

  describe('of a listener', () => {
    behaviour('2.11', 'same', 'OPTIONS / on the inference port lists its paths and operations', async () => {
      const document = await at('inference');
      assert.equal(document.openapi, '3.0.1');
      assert.deepEqual(document.info, {
        title: 'TorchServe APIs',
        description: 'TorchServe is a flexible and easy to use tool for serving deep learning models',
        version: '0.12.0',
      });
      assert.deepEqual(operations(document), {
        '/': ['options apiDescription'],
        '/ping': ['get ping'],
        '/v1/models/{model_name}:predict': ['post predictions'],
        '/v2/models/{model_name}/infer': ['post predictions'],
        '/predictions/{model_name}': ['post predictions'],
        '/predictions/{model_name}/{model_version}': ['post version_predictions'],
        '/api-description': ['get api-description'],
        '/metrics': ['get metrics'],
      });
      assert.equal(document.paths['/api-description']?.['get']?.deprecated, true);
    });

    behaviour('2.11', 'same', 'OPTIONS / on the management port lists its paths and operations', async () => {
      const document = await at('management');
      assert.equal(document.info.title, 'TorchServe APIs');
      assert.deepEqual(operations(document), {
        '/': ['options apiDescription'],
        '/models': ['get listModels', 'post registerModel'],
        '/models/{model_name}': ['get describeModel', 'put setAutoScale', 'delete unregisterModel'],
        '/models/{model_name}/{model_version}': [
          'get version_describeModel',
          'put version_setAutoScale',
          'delete version_unregisterModel',
        ],
        '/models/{model_name}/{model_version}/set-default': ['put setDefault'],
        '/api-description': ['get api-description'],
        '/metrics': ['get metrics'],
      });
    });

    behaviour('2.11', 'same', 'OPTIONS / on the metrics port knows /metrics only, with its name[] filter', async () => {
      const document = await at('metrics');
      assert.deepEqual(operations(document), { '/metrics': ['get metrics'] });
      const [name] = document.paths['/metrics']?.['get']?.parameters ?? [];
      assert.deepEqual([name?.in, name?.name, name?.required, name?.schema.type], ['query', 'name[]', false, 'array']);
    });

    behaviour('2.11', 'same', '/api-description gives the same document by any method', async () => {
      for (const listener of ['inference', 'management', 'metrics'] as const) {
        for (const method of ['GET', 'POST', 'OPTIONS']) {
          const answer = await exchange(`${suite.server[listener]}/api-description`, { method });
          assert.deepEqual(answer.json(), await at(listener));
          assert.equal(answer.headers['content-type'], 'application/json');
        }
      }
    });
  });

  describe('of a model', () => {
    behaviour('2.11', 'same', 'OPTIONS on a prediction route describes the model’s entry points', async () => {
      const document = await at('inference', '/predictions/probe');
      assert.deepEqual(document.info, { title: 'RESTful API for: probe', version: '1.0.0' });
      assert.deepEqual(operations(document), {
        '/prediction/probe': ['post probe'],
        '/v1/models/{model_name}:predict': ['post probe'],
        '/v2/models/{model_name}/infer': ['post probe'],
      });
      for (const { post } of Object.values(document.paths)) {
        assert.equal(post?.description, 'A predict entry point for model: probe.');
      }
    });

    behaviour('2.11', 'same', 'OPTIONS on a model of the management port describes how to manage it', async () => {
      const document = await at('management', '/models/probe');
      assert.deepEqual(document.info, { title: 'RESTful Management API for: probe', version: '0.12.0' });
      const { paths } = await at('management');
      assert.deepEqual(
        document.paths,
        Object.fromEntries(Object.entries(paths).filter(([path]) => path.startsWith('/models/'))),
      );
      assert.deepEqual(await at('management', '/models/probe/1.0'), document);
    });

    behaviour('2.11', 'same', 'a model that does not exist has no description: 404', async () => {
      const answer = await exchange(`${suite.server.management}/models/none`, { method: 'OPTIONS' });
      assert.equal(answer.text, errorBody(404, 'ModelNotFoundException', 'Model not found: none'));
    });
  });

  describe('for a generator', () => {
    behaviour('2.11', 'same', 'the declared response codes: predictions, register, scale, unregister', async () => {
      const { paths } = await at('management');
      assert.deepEqual(codes(paths['/models']?.['post']), ['200', '202', '210', '400', '404', '409', '500']);
      const model = paths['/models/{model_name}'];
      assert.deepEqual(codes(model?.['put']), ['200', '202', '210', '400', '404', '500']);
      assert.deepEqual(codes(model?.['delete']), ['200', '202', '404', '408', '500']);
      const inference = await at('inference');
      for (const path of ['/predictions/{model_name}', '/v2/models/{model_name}/infer']) {
        assert.deepEqual(codes(inference.paths[path]?.['post']), ['200', '404', '500', '503'], path);
      }
      const own = await at('inference', '/predictions/probe');
      assert.deepEqual(codes(own.paths['/prediction/probe']?.['post']), ['200', '404', '500', '503']);
    });

    behaviour('2.11', 'same', 'every parameter of the management API is declared with its type', async () => {
      const { paths } = await at('management');
      assert.deepEqual(parameters(paths['/models']?.['post']), {
        url: 'string',
        model_name: 'string',
        handler: 'string',
        runtime: 'string',
        batch_size: 'integer',
        max_batch_delay: 'integer',
        response_timeout: 'integer',
        startup_timeout: 'integer',
        initial_workers: 'integer',
        synchronous: 'boolean',
        s3_sse_kms: 'boolean',
      });
      assert.deepEqual(parameters(paths['/models']?.['get']), { limit: 'integer', next_page_token: 'string' });
      assert.deepEqual(parameters(paths['/models/{model_name}/{model_version}']?.['put']), {
        model_name: 'string',
        model_version: 'string',
        min_worker: 'integer',
        max_worker: 'integer',
        number_gpu: 'integer',
        synchronous: 'boolean',
        timeout: 'integer',
      });
      assert.deepEqual(parameters(paths['/models/{model_name}']?.['get']), {
        model_name: 'string',
        customized: 'boolean',
      });
      assert.deepEqual(parameters(paths['/models/{model_name}']?.['delete']), {
        model_name: 'string',
        synchronous: 'boolean',
        timeout: 'integer',
      });
    });

    behaviour(
      '2.11',
      'same',
      'every operation is complete: path parameters, bodies, a schema for every answer',
      async () => {
        for (const { paths } of await everyDocument()) {
          for (const [path, item] of Object.entries(paths)) {
            const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
            for (const [verb, operation] of Object.entries(item)) {
              const place = `${verb} ${path}`;
              const inPath = operation.parameters.filter((parameter) => parameter.in === 'path');
              assert.deepEqual(
                inPath.map(({ name, required }) => [name, required]),
                named.map((name) => [name, true]),
                place,
              );
              for (const text of [operation.description, ...operation.parameters.map((found) => found.description)]) {
                assert.notEqual(text, '', place);
              }
              for (const [code, { description, content }] of Object.entries(operation.responses)) {
                assert.notEqual(description, '', `${place} ${code}`);
                for (const { schema } of Object.values(content)) assert.ok('type' in schema, `${place} ${code}`);
                if (Number(code) >= 400) {
                  assert.deepEqual(Object.keys(content), ['application/json'], place);
                }
              }
              const isPrediction = /predict|infer/.test(path);
              assert.equal(operation.requestBody?.required, isPrediction ? true : undefined, place);
            }
          }
        }
      },
    );
  });
});

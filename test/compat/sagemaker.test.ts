// The SageMaker routes and the MMS ones (surface spec 2.1), and the OpenAPI documents (2.11).
import assert from 'node:assert/strict';
import { errorBody } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { multipart } from '../support/http-exchange.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { PROBE, type Probed } from '../support/probe-handlers.ts';
import { behaviour } from './behaviour.ts';

const fill = (store: TestStore): void => {
  store.add('probe', PROBE);
  store.add('noop', NOOP);
};

describeWithServer('SageMaker', fill, { models: ['probe'] }, (suite) => {
  behaviour('2.1', 'same', '/invocations without a name means the only model that was loaded at start', async () => {
    await suite.server.admin('/models?url=noop', 'POST');
    const answer = await suite.server.infer('/invocations', { method: 'POST', body: 'x' });
    assert.equal(answer.status, 200);
    assert.ok(answer.json<Probed>().requestId);
  });

  behaviour('13.4', 'same', '/invocations takes the model from the query, or else from a form field', async () => {
    assert.equal((await suite.server.infer('/invocations?model_name=noop', { method: 'POST' })).text, 'OK');
    const form = multipart([
      { name: 'model_name', value: 'noop' },
      { name: 'data', value: 'x', filename: 'x.txt', type: 'text/plain' },
    ]);
    assert.equal((await suite.server.infer('/invocations', { method: 'POST', ...form })).text, 'OK');
  });

  behaviour('13.4', 'same', '/models/{model}/invoke runs the default version; an unknown model is 404', async () => {
    assert.equal((await suite.server.infer('/models/noop/invoke', { method: 'POST' })).text, 'OK');
    const missing = await suite.server.infer('/models/none/invoke', { method: 'POST' });
    assert.equal(missing.text, errorBody(404, 'ModelNotFoundException', 'Model not found: none'));
  });

  behaviour('2.1', 'same', 'MMS’s routes run a model, with a version or without', async () => {
    assert.equal((await suite.server.infer('/noop/predict')).text, 'OK');
    assert.equal((await suite.server.infer('/noop/1.0/predict')).text, 'OK');
    assert.equal((await suite.server.infer('/noop/2.0/predict')).status, 404);
  });

  behaviour('2.1', 'same', 'every method runs inference, and trailing slashes do not matter', async () => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) {
      assert.equal((await suite.server.infer('/predictions/noop/', { method })).text, 'OK', method);
    }
  });
});

interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly operationId: string; readonly responses: object }>>>
  >;
}

describeWithServer('the API descriptions', fill, { models: ['probe'] }, (suite) => {
  const documentAt = async (base: 'infer' | 'admin', path: string, method = 'OPTIONS'): Promise<OpenApi> =>
    (base === 'infer' ? await suite.server.infer(path, { method }) : await suite.server.admin(path, method)).json();
  const operations = ({ paths }: OpenApi): Record<string, string[]> =>
    Object.fromEntries(
      Object.entries(paths).map(([path, item]) => [
        path,
        Object.entries(item).map(([verb, { operationId }]) => `${verb} ${operationId}`),
      ]),
    );

  behaviour('2.11', 'same', 'OPTIONS / on the inference port lists its paths and operations', async () => {
    const document = await documentAt('infer', '/');
    assert.deepEqual([document.openapi, document.info.title], ['3.0.1', 'TorchServe APIs']);
    assert.equal(
      document.info.description,
      'TorchServe is a flexible and easy to use tool for serving deep learning models',
    );
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
  });

  behaviour('2.11', 'same', 'OPTIONS / on the management port lists its paths and operations', async () => {
    const listed = operations(await documentAt('admin', '/'));
    assert.deepEqual(listed['/models']?.toSorted(), ['get listModels', 'post registerModel']);
    assert.deepEqual(listed['/models/{model_name}']?.toSorted(), [
      'delete unregisterModel',
      'get describeModel',
      'put setAutoScale',
    ]);
    assert.deepEqual(listed['/models/{model_name}/{model_version}/set-default'], ['put setDefault']);
    assert.deepEqual(Object.keys(listed).toSorted(), [
      '/',
      '/api-description',
      '/metrics',
      '/models',
      '/models/{model_name}',
      '/models/{model_name}/{model_version}',
      '/models/{model_name}/{model_version}/set-default',
    ]);
  });

  behaviour('2.11', 'same', '/api-description gives the same document by any method', async () => {
    assert.deepEqual(await documentAt('infer', '/api-description', 'GET'), await documentAt('infer', '/'));
    assert.deepEqual(await documentAt('admin', '/api-description', 'POST'), await documentAt('admin', '/'));
  });

  behaviour('2.11', 'same', 'OPTIONS on a prediction route describes the model’s entry point', async () => {
    const document = await documentAt('infer', '/predictions/probe');
    assert.deepEqual([document.info.title, document.info.version], ['RESTful API for: probe', '1.0.0']);
    assert.deepEqual(operations(document), {
      '/prediction/probe': ['post probe'],
      '/v1/models/{model_name}:predict': ['post probe'],
      '/v2/models/{model_name}/infer': ['post probe'],
    });
  });

  behaviour('2.11', 'same', 'OPTIONS on a model of the management port describes how to manage it', async () => {
    const document = await documentAt('admin', '/models/probe');
    assert.equal(document.info.title, 'RESTful Management API for: probe');
    assert.equal(Object.keys(document.paths).length, 3);
  });
});

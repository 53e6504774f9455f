// The SageMaker routes (surface spec 2.1) as its containers use them.
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
});

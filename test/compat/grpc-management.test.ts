// Surface spec 5.3, 5.4: TorchServe's management service, with grpc-js as its client.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { create, type DescMessage, type DescMethod, type MessageInitShape } from '@bufbuild/protobuf';
import { ManagementAPIsService, type ManagementResponseSchema } from '../../src/grpc/gen/management_pb.ts';
import { behaviour } from './behaviour.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { echoScript, openStage, type Stage } from '../support/grpc-fakes.ts';

const { describeModel, listModels, registerModel, scaleWorker, setDefault, unregisterModel } =
  ManagementAPIsService.method;

suite('gRPC management', () => {
  let stage: Stage;
  let client: GrpcClient;
  before(async () => {
    stage = await openStage(echoScript);
    client = new GrpcClient(stage.managementPort);
  });
  after(async () => {
    client[Symbol.dispose]();
    await stage.close();
  });

  type Managing<Input extends DescMessage> = {
    readonly input: Input;
    readonly output: typeof ManagementResponseSchema;
  } & DescMethod;
  const ask = async <Input extends DescMessage>(
    method: Managing<Input>,
    request: MessageInitShape<Input>,
    key = 'manage',
  ) => (await client.unary(method, create(method.input, request), { key })).msg;
  const refused = <Input extends DescMessage>(
    method: Managing<Input>,
    request: MessageInitShape<Input>,
    code: number,
    details: string,
    key?: string,
  ) =>
    assert.rejects(ask(method, request, key), (error: { code?: number; details?: string }) => {
      assert.deepEqual([error.code, error.details], [code, details]);
      return true;
    });

  behaviour('5.3', 'same', 'describe and list answer with the pretty JSON of REST, without the newline', async () => {
    const [model] = JSON.parse(await ask(describeModel, { modelName: 'm' }));
    assert.equal(model.modelName, 'm');
    assert.match(
      await ask(describeModel, { modelName: 'm', modelVersion: 'all' }),
      /^\[\n {2}\{\n {4}"modelName": "m",[\s\S]*\}\n\]$/,
    );
    assert.match(await ask(describeModel, { modelName: 'm', customized: true }), /"customizedMetadata": \{\n/);
    assert.equal(await ask(listModels, {}), '{\n  "nextPageToken": "0",\n  "models": []\n}');
  });

  behaviour('5.3', 'same', 'in a management message zero and empty mean not given', async () => {
    await ask(registerModel, { url: 'm.mar' });
    assert.deepEqual(stage.registered.at(-1), { url: 'm.mar', isSynchronous: false });
    await ask(registerModel, {
      url: 'm.mar',
      modelName: 'm',
      batchSize: 4,
      maxBatchDelay: 7,
      initialWorkers: 2,
      responseTimeout: 9,
      startupTimeout: 8,
      handler: 'h',
      runtime: 'python',
      synchronous: true,
      s3SseKms: true,
    });
    assert.deepEqual(stage.registered.at(-1), {
      url: 'm.mar',
      isSynchronous: true,
      modelName: 'm',
      handler: 'h',
      runtime: 'python',
      batchSize: 4,
      maxBatchDelayMs: 7,
      initialWorkers: 2,
      responseTimeoutSec: 9,
      startupTimeoutSec: 8,
      s3SseKms: true,
    });
    assert.equal(await ask(scaleWorker, { modelName: 'm' }), 'Processing worker updates...');
    assert.deepEqual(stage.scaled.at(-1), {
      modelName: 'm',
      version: undefined,
      minWorkers: 1,
      maxWorkers: 1,
      isSynchronous: false,
    });
    await ask(scaleWorker, { modelName: 'm', minWorker: 3 });
    assert.equal(stage.scaled.at(-1)?.maxWorkers, 3);
  });

  behaviour('5.3', 'same', 'the answer to a change is the bare sentence', async () => {
    assert.equal(await ask(unregisterModel, { modelName: 'm' }), 'Model "m" unregistered');
    const { action, outcome, principal, subject } = stage.audit.at(-1)!;
    assert.deepEqual([action, outcome, principal, subject], ['unregister', 'allowed', 'manage', 'm']);
    assert.match(
      await ask(setDefault, { modelName: 'm', modelVersion: '1.0' }),
      /^Default version successfully updated/,
    );
  });

  behaviour('5.4', 'same', 'errors of the management service have TorchServe’s codes and two lines', async () => {
    const notFound = 'Model not found: x\norg.pytorch.serve.archive.model.ModelNotFoundException';
    await refused(describeModel, { modelName: 'x' }, 5, notFound);
    await refused(describeModel, { modelName: 'x', customized: true }, 13, notFound);
    await refused(
      describeModel,
      { modelName: 'm', modelVersion: '2' },
      5,
      'Model version: 2 does not exist for model: m\norg.pytorch.serve.archive.model.ModelVersionNotFoundException',
    );
    await refused(registerModel, {}, 3, 'Parameter url is required.\norg.pytorch.serve.http.BadRequestException');
    await refused(
      registerModel,
      { url: 'missing.mar' },
      3,
      'Failed to download archive from: missing.mar\norg.pytorch.serve.archive.DownloadArchiveException',
    );
    const failures: readonly (readonly [string, number, string])[] = [
      ['exists.mar', 13, 'Model file already exists exists.mar\norg.pytorch.serve.http.InternalServerException'],
      [
        'pip.mar',
        3,
        'Custom pip package installation failed for model m\norg.pytorch.serve.archive.model.ModelException',
      ],
      [
        'invalid.mar',
        3,
        'Missing Model entry in manifest file.\norg.pytorch.serve.archive.model.InvalidModelException',
      ],
      [
        'memory.mar',
        13,
        'Failed to start workers for model m version: 1.0\norg.pytorch.serve.http.InternalServerException',
      ],
    ];
    for (const [url, code, details] of failures) await refused(registerModel, { url }, code, details);
    await refused(
      scaleWorker,
      { modelName: 'm', synchronous: true },
      13,
      'Failed to start workers for model m version: 1.0\norg.pytorch.serve.http.InternalServerException',
    );
    await refused(unregisterModel, {}, 3, 'Parameter url is required.\norg.pytorch.serve.http.BadRequestException');
    await refused(
      unregisterModel,
      { modelName: 'm', modelVersion: '1.0' },
      7,
      'Cannot remove default version for model m\norg.pytorch.serve.http.InvalidModelVersionException',
    );
  });

  behaviour('5.7', 'same', 'a key opens what its scopes say and nothing else', async () => {
    const text = 'Token Authorization failed. Token either incorrect, expired, or not provided correctly';
    await refused(listModels, {}, 7, text, 'infer');
    await refused(registerModel, { url: 'm.mar' }, 7, text, 'only-m');
    await refused(registerModel, { url: 'm.mar', modelName: 'n' }, 7, text, 'only-m');
    await refused(scaleWorker, { modelName: 'n' }, 7, text, 'only-m');
    await ask(registerModel, { url: 'm.mar', modelName: 'm' }, 'only-m');
  });
});

test('without the model API, register and unregister say so', async (t) => {
  const stage = await openStage(echoScript, { isModelApiEnabled: false });
  const client = new GrpcClient(stage.managementPort);
  t.after(() => {
    client[Symbol.dispose]();
    return stage.close();
  });
  const key = 'manage';
  const disabled = { code: 7, details: 'Model API disabled\norg.pytorch.serve.archive.model.ModelException' };
  await assert.rejects(client.unary(registerModel, create(registerModel.input), { key }), disabled);
  await assert.rejects(client.unary(unregisterModel, create(unregisterModel.input), { key }), disabled);
});

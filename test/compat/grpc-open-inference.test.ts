// Surface spec 5.6 and grpc.health.v1: the services beside TorchServe's own.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { Health, type HealthCheckResponse } from '../../src/grpc/gen/grpc/health/v1/health_pb.ts';
import { GRPCInferenceService } from '../../src/grpc/gen/open_inference_pb.ts';
import { Fault } from '../../src/kernel/index.ts';
import { behaviour } from './behaviour.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { openStage, replyOf, type Script, type Stage } from '../support/grpc-fakes.ts';

const { serverLive, serverMetadata, modelReady, modelMetadata, modelInfer } = GRPCInferenceService.method;
const key = 'infer';
const STANDARD = 'inference.GRPCInferenceService';

/** A kservev2 model that answers each input tensor as an output. */
const script: Script = (request, outlet) => {
  if (request.model === 'unknown') throw new Fault('model_not_found', 'Model not found: unknown');
  if (request.model === 'plain') return outlet.send(replyOf('plain text'), true);
  const { id, inputs } = JSON.parse(Buffer.concat([...(request.parts[0]?.chunks ?? [])]).toString());
  outlet.send(replyOf(JSON.stringify({ id, model_name: request.model, model_version: '1.0', outputs: inputs })), true);
};

suite('gRPC open inference and health', () => {
  let stage: Stage;
  let client: GrpcClient;
  before(async () => {
    stage = await openStage(script);
    client = new GrpcClient(stage.inferencePort);
  });
  after(async () => {
    client[Symbol.dispose]();
    await stage.close();
  });

  behaviour(
    '5.6',
    'same',
    'the Open Inference Protocol is served under TorchServe’s package name, and under its own',
    async () => {
      for (const service of [undefined, STANDARD]) {
        const settings = service === undefined ? { key } : { key, service };
        assert.equal((await client.unary(serverLive, create(serverLive.input), settings)).live, true);
      }
      await assert.rejects(client.unary(serverMetadata, create(serverMetadata.input), { key }), { code: 12 });
    },
  );

  behaviour('5.6', 'same', 'readiness and metadata of a model come from the registry', async () => {
    assert.equal((await client.unary(modelReady, create(modelReady.input, { name: 'm' }), { key })).ready, true);
    const metadata = await client.unary(modelMetadata, create(modelMetadata.input, { name: 'm' }), { key });
    assert.deepEqual([metadata.name, metadata.versions, metadata.platform], ['m', ['1.0'], '']);
    assert.deepEqual(
      metadata.inputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
      [['x', 'FP32', [-1n, 64n]]],
    );
    await assert.rejects(client.unary(modelReady, create(modelReady.input), { key }), {
      code: 13,
      details: 'Parameter name is required.\nBadRequestException.()',
    });
    await assert.rejects(client.unary(modelReady, create(modelReady.input, { name: 'x' }), { key }), { code: 5 });
  });

  behaviour('5.6', 'same', 'an Open Inference Protocol request carries its tensors both ways', async () => {
    const inputs = [{ name: 'a', shape: [2n], datatype: 'FP32', contents: { fp32Contents: [0.5, 2] } }];
    const answer = await client.unary(modelInfer, create(modelInfer.input, { modelName: 'm', id: 'i', inputs }), {
      key,
      service: STANDARD,
    });
    assert.deepEqual([answer.id, answer.modelName, answer.modelVersion], ['i', 'm', '1.0']);
    assert.deepEqual(answer.outputs[0]?.contents?.fp32Contents, [0.5, 2]);
    const { parts } = stage.requests.at(-1)!;
    assert.deepEqual([parts[0]?.name, parts[0]?.contentType], ['body', 'application/json']);
    await assert.rejects(client.unary(modelInfer, create(modelInfer.input, { modelName: 'unknown' }), { key }), {
      code: 13,
    });
    await assert.rejects(client.unary(modelInfer, create(modelInfer.input, { modelName: 'plain' }), { key }), {
      code: 14,
    });
  });

  test('health needs no key and knows the services of its listener', async () => {
    const check = async (service: string) =>
      (await client.unary(Health.method.check, create(Health.method.check.input, { service }))).status;
    assert.equal(await check(''), 1);
    assert.equal(await check('org.pytorch.serve.grpc.inference.InferenceAPIsService'), 1);
    await assert.rejects(check('org.pytorch.serve.grpc.management.ManagementAPIsService'), { code: 5 });
    stage.isHealthy = false;
    assert.equal(await check(''), 2);
    stage.isHealthy = true;
  });

  test('a health watch tells the state at once and ends when the server stops', async () => {
    const own = await openStage(script);
    using watcher = new GrpcClient(own.inferencePort);
    const states: number[] = [];
    const call = watcher.serverStream(Health.method.watch, create(Health.method.watch.input));
    call.on('data', (answer: HealthCheckResponse) => {
      states.push(answer.status);
      void own.close();
    });
    const [error] = await new Promise<[{ code: number }]>((resolve) =>
      call.on('error', (...found) => resolve(found as never)),
    );
    assert.deepEqual([states, error.code], [[1], 14]);
  });
});

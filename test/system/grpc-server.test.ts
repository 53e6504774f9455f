// The life of a model over gRPC alone, on the real server with real workers and the keys of key_file.json.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { InferenceAPIsService, type PredictionResponse } from '../../src/grpc/gen/inference_pb.ts';
import { ManagementAPIsService } from '../../src/grpc/gen/management_pb.ts';
import { Health } from '../../src/grpc/gen/grpc/health/v1/health_pb.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { makeModelStore, SLOW_ECHO, type TestStore } from '../support/model-store.ts';
import { portOf, startRealServer, type RealServer } from '../support/real-server.ts';
import { PIECES } from '../support/streaming-handlers.ts';

const { predictions, streamPredictions } = InferenceAPIsService.method;
const { registerModel, describeModel, unregisterModel } = ManagementAPIsService.method;

describe('gRPC on the real server', () => {
  let store: TestStore;
  let server: RealServer;
  let inference: GrpcClient;
  let management: GrpcClient;
  before(async () => {
    store = makeModelStore();
    store.add('echo', SLOW_ECHO);
    store.add('pieces', PIECES);
    server = await startRealServer({ modelStore: store.dir, config: ['enable_model_api=true'] });
    inference = new GrpcClient(portOf(server.grpcInference));
    management = new GrpcClient(portOf(server.grpcManagement));
  });
  after(async () => {
    for (const client of [inference, management]) client?.[Symbol.dispose]();
    await server?.stop();
    store?.[Symbol.dispose]();
  });

  const manage = (): { key: string } => ({ key: server.key('management') });
  const infer = (): { key: string } => ({ key: server.key('inference') });
  const asking = (modelName: string, body: string) =>
    create(predictions.input, { modelName, input: { body: Buffer.from(body) } });

  it('registers, describes, predicts, streams and unregisters', async () => {
    for (const url of ['echo', 'pieces']) {
      const request = create(registerModel.input, { url, initialWorkers: 1, synchronous: true });
      assert.match(
        (await management.unary(registerModel, request, manage())).msg,
        /registered with 1 initial workers$/,
      );
    }
    const [model] = JSON.parse(
      (await management.unary(describeModel, create(describeModel.input, { modelName: 'echo' }), manage())).msg,
    );
    assert.equal(model.workers[0].status, 'READY');
    const answer = await inference.unary(predictions, asking('echo', ':hello'), infer());
    assert.equal(Buffer.from(answer.prediction).toString(), 'hello');
    const pieces: string[] = [];
    for await (const piece of inference.serverStream(streamPredictions, asking('pieces', ''), infer())) {
      pieces.push(Buffer.from((piece as PredictionResponse).prediction).toString());
    }
    assert.deepEqual(pieces, ['one ', 'two ', 'three']);
    const request = create(unregisterModel.input, { modelName: 'pieces' });
    assert.equal((await management.unary(unregisterModel, request, manage())).msg, 'Model "pieces" unregistered');
    await assert.rejects(inference.unary(predictions, asking('pieces', ''), infer()), {
      code: 13,
      details: 'Model not found: pieces\norg.pytorch.serve.archive.model.ModelNotFoundException',
    });
  });

  it('asks for the right key of the right listener, and health for none', async () => {
    await assert.rejects(inference.unary(predictions, asking('echo', ':x'), manage()), { code: 7 });
    await assert.rejects(management.unary(describeModel, create(describeModel.input, { modelName: 'echo' }), infer()), {
      code: 7,
    });
    for (const client of [inference, management]) {
      assert.equal((await client.unary(Health.method.check, create(Health.method.check.input))).status, 1);
    }
  });

  it('answers a deadline in time, and the worker goes on', async () => {
    await assert.rejects(
      inference.unary(predictions, asking('echo', '0.5:late'), { ...infer(), options: { deadline: Date.now() + 100 } }),
      { code: 4 },
    );
    const answer = await inference.unary(predictions, asking('echo', ':next'), infer());
    assert.equal(Buffer.from(answer.prediction).toString(), 'next');
  });

  it('answers what it has accepted before it stops', async () => {
    const last = inference.unary(predictions, asking('echo', '0.3:last words'), infer());
    await new Promise((resolve) => setTimeout(resolve, 100));
    const stopped = once(server.process, 'exit');
    server.process.kill('SIGTERM');
    assert.equal(Buffer.from((await last).prediction).toString(), 'last words');
    await stopped;
  });
});

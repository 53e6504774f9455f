// Surface spec 5.2, 5.4, 5.5, 5.7: TorchServe's inference service, with grpc-js as its client.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, before, suite } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { anyUnpack, EmptySchema } from '@bufbuild/protobuf/wkt';
import { Fault } from '../../src/kernel/index.ts';
import { ErrorInfoSchema } from '../../src/grpc/gen/google/rpc/error_details_pb.ts';
import {
  InferenceAPIsService,
  PredictionsRequestSchema,
  type PredictionResponse,
} from '../../src/grpc/gen/inference_pb.ts';
import { behaviour } from './behaviour.ts';
import { eventually } from '../support/eventually.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { openStage, replyOf, type Script, type Stage } from '../support/grpc-fakes.ts';

const { ping, predictions, streamPredictions, streamPredictions2 } = InferenceAPIsService.method;
const key = 'infer';

const FAULTS: Readonly<Record<string, Fault>> = {
  full: new Fault('queue_full', 'Model "full" has no worker to serve inference request.'),
  failed: new Fault('prediction_failed', 'Prediction failed'),
  custom: new Fault('handler_status', 'Some Prediction Error', { status: 404 }),
  died: new Fault('worker_died', 'Worker died.'),
};

/** Models by name: each behaves in its own way. */
const script: Script = (request, outlet) => {
  const bodies = request.parts.flatMap((part) => part.chunks);
  const fault = FAULTS[request.model];
  if (request.model === 'unknown') throw new Fault('model_not_found', 'Model not found: unknown');
  if (request.version === '9')
    throw new Fault('model_version_not_found', 'Model version: 9 does not exist for model: m');
  if (request.model === 'slow') return;
  if (fault !== undefined) return outlet.fail(fault);
  if (request.model === 'digest') {
    const hash = createHash('sha256');
    for (const body of bodies) hash.update(body);
    return outlet.send(replyOf(hash.digest()), true);
  }
  if (request.model === 'pieces') {
    for (const piece of ['hello', ' ', 'world']) outlet.send(replyOf(piece), false);
    return outlet.send(replyOf(''), true);
  }
  if (request.model === 'later') return void setImmediate(() => outlet.send(replyOf(...bodies), true));
  outlet.send({ ...replyOf(...bodies), status: 507 }, true);
};

const request = (
  modelName: string,
  input: Record<string, Uint8Array | string> = {},
  rest: { modelVersion?: string; sequenceId?: string } = {},
) =>
  create(PredictionsRequestSchema, {
    modelName,
    input: Object.fromEntries(Object.entries(input).map(([name, value]) => [name, Buffer.from(value)])),
    ...rest,
  });

suite('gRPC inference', () => {
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

  const text = async (modelName: string, rest = {}): Promise<string> => {
    const answer = await client.unary(predictions, request(modelName, { a: 'A' }, rest), { key });
    return Buffer.from(answer.prediction).toString();
  };
  const refusal = (code: number, details: string) => (error: { code?: number; details?: string }) => {
    assert.deepEqual([error.code, error.details], [code, details]);
    return true;
  };

  behaviour('5.4', 'same', 'a gRPC prediction is the bytes of the reply, whatever status the handler set', async () => {
    const answer = await client.unary(predictions, request('m', { data: 'AB', 'other.name': 'C' }), { key });
    assert.equal(Buffer.from(answer.prediction).toString(), 'ABC');
    assert.equal(answer.status, undefined);
    const seen = stage.requests.at(-1);
    assert.deepEqual(
      seen?.parts.map(({ name, contentType }) => [name, contentType]),
      [
        ['data', undefined],
        ['other.name', undefined],
      ],
    );
    assert.equal(seen?.version, undefined);
  });

  behaviour(
    '5.2',
    'same',
    'bodies of every size arrive whole, and in one piece more than the window allows',
    async () => {
      for (const bytes of [0, 1, 16_380, 65_536, 600_000, 6_553_000]) {
        const body = randomBytes(bytes);
        const answer = await client.unary(predictions, request('digest', { data: body }), { key });
        assert.deepEqual(Buffer.from(answer.prediction), createHash('sha256').update(body).digest(), String(bytes));
        const echoed = await client
          .unary(predictions, request('m', { data: body }), { key, options: {} })
          .catch((error: Error) => error);
        if (bytes < 4_000_000) assert.deepEqual(Buffer.from((echoed as PredictionResponse).prediction), body);
      }
    },
  );

  behaviour('5.1', 'same', 'a message over max_request_size is refused while it is being sent', async () => {
    await assert.rejects(
      client.unary(predictions, request('m', { data: Buffer.alloc(7_000_000) }), { key }),
      (error: { code?: number; details?: string }) =>
        error.code === 8 && /exceeds maximum size 6553500: 70000/.test(error.details ?? ''),
    );
    assert.equal(await text('m'), 'A');
  });

  behaviour('5.4', 'same', 'errors of the inference service have TorchServe’s codes and two lines', async () => {
    const cases: readonly (readonly [string, object, number, string])[] = [
      ['', {}, 13, 'Parameter model_name is required.\nBadRequestException.()'],
      ['unknown', {}, 13, 'Model not found: unknown\norg.pytorch.serve.archive.model.ModelNotFoundException'],
      [
        'm',
        { modelVersion: '9' },
        13,
        'Model version: 9 does not exist for model: m\norg.pytorch.serve.archive.model.ModelVersionNotFoundException',
      ],
      ['full', {}, 13, 'Model "full" has no worker to serve inference request.\nInternalServerException.()'],
      ['failed', {}, 14, 'Prediction failed\norg.pytorch.serve.http.InternalServerException'],
      ['custom', {}, 5, 'Some Prediction Error\norg.pytorch.serve.http.InternalServerException'],
      ['died', {}, 13, 'Worker died.\norg.pytorch.serve.http.InternalServerException'],
    ];
    for (const [model, rest, code, details] of cases) await assert.rejects(text(model, rest), refusal(code, details));
  });

  behaviour(
    '5.7',
    'same',
    'a wrong key, no key, and a key for another model are refused before and after the message alike',
    async () => {
      const details = 'Token Authorization failed. Token either incorrect, expired, or not provided correctly';
      for (const wrong of [{ key: 'wrong' }, {}, { key: 'manage' }]) {
        await assert.rejects(client.unary(predictions, request('m'), wrong), refusal(7, details));
      }
      await assert.rejects(client.unary(predictions, request('n'), { key: 'only-m' }), refusal(7, details));
      await client.unary(predictions, request('m'), { key: 'only-m' });
      assert.equal(stage.audit.at(-1)?.outcome, 'refused');
    },
  );

  behaviour('5.2', 'same', 'Ping tells the health as pretty JSON and needs the key when /ping does', async () => {
    assert.equal((await client.unary(ping, create(EmptySchema), { key })).health, '{\n  "status": "Healthy"\n}');
    stage.isHealthy = false;
    assert.equal((await client.unary(ping, create(EmptySchema), { key })).health, '{\n  "status": "Unhealthy"\n}');
    stage.isHealthy = true;
    await assert.rejects(
      client.unary(ping, create(EmptySchema)),
      refusal(7, 'Token Authorization failed. Token either incorrect, expired, or not provided correctly'),
    );
  });

  behaviour('5.5', 'same', 'a streamed prediction is one message for each piece', async () => {
    const pieces: string[] = [];
    for await (const piece of client.serverStream(streamPredictions, request('pieces'), { key })) {
      pieces.push(Buffer.from((piece as PredictionResponse).prediction).toString());
    }
    assert.deepEqual(pieces, ['hello', ' ', 'world', '']);
  });

  behaviour(
    '5.5',
    'same',
    'a handler that does not stream gives a stream of one message, and its failure ends the call',
    async () => {
      const pieces: unknown[] = [];
      for await (const piece of client.serverStream(streamPredictions, request('m', { a: 'A' }), { key }))
        pieces.push(piece);
      assert.equal(pieces.length, 1);
      const failing = client.serverStream(streamPredictions, request('failed'), { key });
      const [error] = (await once(failing.resume(), 'error')) as [{ code: number }];
      assert.equal(error.code, 14);
    },
  );

  behaviour('5.5', 'same', 'a sequence stream answers every request in order before it ends', async () => {
    const call = client.bidirectional(streamPredictions2, { key });
    for (const [model, value] of [
      ['later', '1'],
      ['m', '3'],
      ['later', '6'],
    ] as const) {
      call.write(request(model, { data: value }, { sequenceId: 'seq_0' }));
    }
    call.end();
    const answers: string[] = [];
    for await (const answer of call) answers.push(Buffer.from((answer as PredictionResponse).prediction).toString());
    assert.deepEqual(answers, ['1', '3', '6']);
    const seen = stage.requests.at(-1);
    assert.equal(seen?.sequenceId, 'seq_0');
    assert.deepEqual(seen?.headers, [['ts_request_sequence_id', 'seq_0']]);
  });

  behaviour(
    '5.5',
    'same',
    'in a sequence stream a failure is a message with ErrorInfo, and the stream goes on',
    async () => {
      const call = client.bidirectional(streamPredictions2, { key });
      call.write(request('m', { data: 'x' }));
      call.write(request('unknown', {}, { sequenceId: 's' }));
      call.write(request('m', { data: 'y', ts_request_sequence_end: 'true' }, { sequenceId: 's' }));
      call.end();
      const answers: PredictionResponse[] = [];
      for await (const answer of call) answers.push(answer as PredictionResponse);
      const [missing, unknown, good] = answers;
      assert.deepEqual([missing?.status?.code, missing?.status?.message], [13, 'Parameter sequenceId is required.']);
      const reason = (answer: PredictionResponse | undefined) =>
        answer?.status?.details[0] && anyUnpack(answer.status.details[0], ErrorInfoSchema)?.reason;
      assert.equal(reason(missing), 'BadRequestException.()');
      assert.equal(reason(unknown), 'org.pytorch.serve.archive.model.ModelNotFoundException');
      assert.equal(good?.status, undefined);
      assert.deepEqual(stage.requests.at(-1)?.headers.at(-1), ['ts_request_sequence_end', 'true']);
    },
  );

  behaviour(
    '5.4',
    'stricter',
    'the caller’s deadline reaches the data path, ends the call and cancels the job',
    async () => {
      const started = performance.now();
      await assert.rejects(
        client.unary(predictions, request('slow'), { key, options: { deadline: Date.now() + 150 } }),
        (error: { code?: number }) => error.code === 4,
      );
      assert.ok(performance.now() - started < 2000);
      const seen = stage.requests.at(-1);
      assert.ok(seen?.timeoutMs !== undefined && seen.timeoutMs > 0 && seen.timeoutMs <= 150, String(seen?.timeoutMs));
      await eventually('the job is cancelled', () => stage.cancelled.includes(seen.requestId));
    },
  );

  behaviour('5.4', 'same', 'a cancelled call cancels its job and is logged with status 1', async () => {
    const call = client.serverStream(streamPredictions, request('slow'), { key });
    call.on('error', () => undefined);
    const before = stage.requests.length;
    await eventually('the call is with the model', () => stage.requests.length > before);
    call.cancel();
    const id = stage.requests.at(-1)?.requestId ?? '';
    await eventually('the job is cancelled', () => stage.cancelled.includes(id));
    assert.equal(stage.access.at(-1)?.status, 1);
  });

  behaviour('11', 'same', 'every gRPC call is one access line with its gRPC status', async () => {
    await text('m');
    await eventually('the call is in the log', () => stage.access.length > 0);
    const { method, target, protocol, status, listener } = stage.access.at(-1)!;
    assert.deepEqual(
      [listener, method, target, protocol, status],
      ['grpc-inference', 'gRPC', 'org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions', 'HTTP/2.0', 0],
    );
  });

  behaviour('5.1', 'same', 'a method that does not exist, and reflection, are not implemented', async () => {
    for (const service of ['org.pytorch.serve.grpc.inference.Nothing', 'grpc.reflection.v1.ServerReflection']) {
      await assert.rejects(
        client.unary(predictions, request('m'), { key, service }),
        (error: { code?: number }) => error.code === 12,
      );
    }
  });
});

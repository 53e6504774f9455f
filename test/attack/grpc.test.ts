// Hostile gRPC clients: broken frames, floods and vanishing peers cost the caller's own call and nothing else.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  connect as connectHttp2,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { create, toBinary } from '@bufbuild/protobuf';
import { GRPCInferenceService, ModelInferRequestSchema } from '../../src/grpc/gen/open_inference_pb.ts';
import { InferenceAPIsService, PredictionsRequestSchema } from '../../src/grpc/gen/inference_pb.ts';
import { MAX_SILENT } from '../../src/grpc/http2/silent-calls.ts';
import { eventually } from '../support/eventually.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { openStage, replyOf, type Stage } from '../support/grpc-fakes.ts';
import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  FrameClient,
  literal,
  u32,
} from '../support/http2-frames.ts';

const { predictions, streamPredictions, streamPredictions2 } = InferenceAPIsService.method;
const HEALTH = '/grpc.health.v1.Health/Check';
const PATH = '/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions';

function framed(message: Uint8Array, flags = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

const good = framed(toBinary(PredictionsRequestSchema, create(PredictionsRequestSchema, { modelName: 'm' })));

interface Ending {
  readonly httpStatus: number | undefined;
  readonly grpcStatus: string | undefined;
  readonly message: string | undefined;
}

/** A call by hand: whoever has it writes to it, and ends it or not. */
function openCall(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
): { readonly stream: ClientHttp2Stream; readonly ending: Promise<Ending> } {
  const stream = session.request({
    ':method': 'POST',
    ':path': PATH,
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: 'Bearer infer',
    ...headers,
  });
  const seen: Record<string, unknown> = {};
  stream.on('response', (head) => Object.assign(seen, head));
  stream.on('trailers', (trailers) => Object.assign(seen, trailers));
  stream.on('error', () => undefined);
  const ending = new Promise<Ending>((resolve) =>
    stream.on('close', () =>
      resolve({
        httpStatus: seen[':status'] as number | undefined,
        grpcStatus: seen['grpc-status'] as string | undefined,
        message: seen['grpc-message'] as string | undefined,
      }),
    ),
  );
  return { stream: stream.resume(), ending };
}

/** Sends raw bytes as one call and waits for its end. */
function callRaw(
  session: ClientHttp2Session,
  body: Uint8Array,
  headers: OutgoingHttpHeaders = {},
  isEnding = true,
): Promise<Ending> {
  const { stream, ending } = openCall(session, headers);
  stream.write(body);
  if (isEnding) stream.end();
  return ending;
}

suite('hostile gRPC clients', () => {
  let stage: Stage;
  let session: ClientHttp2Session;
  before(async () => {
    stage = await openStage((request, outlet) => {
      if (request.model !== 'slow') outlet.send(replyOf(...request.parts.flatMap((part) => part.chunks)), true);
    });
    session = connectHttp2(`http://127.0.0.1:${stage.inferencePort}`, { maxSessionMemory: 100 });
  });
  after(async () => {
    session.destroy();
    await stage.close(0);
  });

  const stillServes = async (): Promise<void> => assert.equal((await callRaw(session, good)).grpcStatus, '0');

  test('bytes that are no message, half a message, no message and two messages end with INTERNAL', async () => {
    for (const body of [
      framed(Buffer.from([0xff, 0xff])),
      good.subarray(0, 7),
      Buffer.alloc(0),
      Buffer.concat([good, good]),
    ]) {
      const { grpcStatus } = await callRaw(session, body);
      // Of two messages the first may have been answered before the second came.
      assert.ok(
        grpcStatus === '13' || (body.length === 2 * good.length && grpcStatus === '0'),
        `${body.toString('hex')}: ${grpcStatus}`,
      );
    }
    await stillServes();
  });

  test('a compressed message is not unpacked', async () => {
    assert.equal((await callRaw(session, framed(Buffer.alloc(10), 1))).grpcStatus, '12');
  });

  test('a length of four gigabytes is refused by its announcement', async () => {
    const { grpcStatus } = await callRaw(session, Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), {}, false);
    assert.equal(grpcStatus, '8');
  });

  test('what is not gRPC is not answered as gRPC', async () => {
    assert.equal((await callRaw(session, good, { 'content-type': 'application/json' })).httpStatus, 415);
    assert.equal((await callRaw(session, good, { 'content-type': 'application/grpcevil' })).httpStatus, 415);
    assert.equal((await callRaw(session, good, { ':method': 'PUT' })).httpStatus, 415);
  });

  test('a malformed deadline and a deadline of the past end the call', async () => {
    assert.equal((await callRaw(session, good, { 'grpc-timeout': '1 day' })).grpcStatus, '13');
    const slow = framed(toBinary(PredictionsRequestSchema, create(PredictionsRequestSchema, { modelName: 'slow' })));
    assert.equal((await callRaw(session, slow, { 'grpc-timeout': '0n' })).grpcStatus, '4');
  });

  test('a refused caller cannot make the server read on', async () => {
    const { grpcStatus } = await callRaw(session, Buffer.alloc(20 * 1024 * 1024), { authorization: 'Bearer x' }, false);
    assert.equal(grpcStatus, '7');
    assert.ok((session.state.outboundQueueSize ?? 0) < 1024);
  });

  test('line breaks in a path or a key reach neither the status nor the log as such', async () => {
    const { message } = await callRaw(session, good, { ':path': '/a%0ab/c' });
    assert.equal(message, 'Method not found: a%250ab/c');
  });

  test('clients that vanish leave no work behind', async () => {
    const clients = Array.from({ length: 20 }, () => connectHttp2(`http://127.0.0.1:${stage.inferencePort}`));
    const slow = framed(toBinary(PredictionsRequestSchema, create(PredictionsRequestSchema, { modelName: 'slow' })));
    const before = stage.requests.length;
    const endings = clients.map((client) => callRaw(client, slow));
    await eventually('all calls are with the model', () => stage.requests.length === before + 20);
    for (const client of clients) client.destroy();
    await Promise.all(endings);
    const ids = stage.requests.slice(before).map((request) => request.requestId);
    await eventually('every job is cancelled', () => ids.every((id) => stage.cancelled.includes(id)));
  });

  test('calls without a message, whose clients vanish, end nothing but themselves', async () => {
    const clients = Array.from({ length: 5 }, () => connectHttp2(`http://127.0.0.1:${stage.inferencePort}`));
    const before = stage.access.length;
    // In the server this would be its end; the test runner only mentions it.
    const uncaught: unknown[] = [];
    const note = (error: unknown): void => void uncaught.push(error);
    process.on('uncaughtExceptionMonitor', note);
    for (const client of clients) {
      client.on('error', () => undefined);
      await once(client, 'remoteSettings');
      for (let at = 0; at < 50; at += 1) {
        client
          .request({ ':method': 'POST', ':path': HEALTH, 'content-type': 'application/grpc' })
          .on('error', () => undefined);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const client of clients) client.destroy();
    await eventually('every call is over', () => stage.access.length === before + 250);
    await stillServes();
    process.off('uncaughtExceptionMonitor', note);
    assert.deepEqual(uncaught, []);
  });

  test('a sequence stream that does not read its answers in time is asked to wait, and cancelled as a whole', async () => {
    using client = new GrpcClient(stage.inferencePort);
    const call = client.bidirectional(streamPredictions2, { key: 'infer' });
    call.on('error', () => undefined);
    const before = stage.requests.length;
    for (let at = 0; at < 300; at++)
      call.write(create(PredictionsRequestSchema, { modelName: 'slow', sequenceId: 's' }));
    await eventually('as many as may wait do', () => stage.requests.length - before >= 64);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const taken = stage.requests.length - before;
    // Messages of a chunk that was already read are taken; the rest of the stream waits.
    assert.ok(taken < 300, String(taken));
    call.cancel();
    const ids = stage.requests.slice(before).map((request) => request.requestId);
    await eventually('every job is cancelled', () => ids.every((id) => stage.cancelled.includes(id)));
  });

  test('a message in crumbs is refused before it costs many times its size', async () => {
    const crumbs = connectHttp2(`http://127.0.0.1:${stage.inferencePort}`);
    crumbs.on('error', () => undefined);
    const ending = callInCrumbs(crumbs, 5000);
    assert.equal((await ending).grpcStatus, '8');
    crumbs.destroy();
    await stillServes();
  });

  test('a connection that changes its settings again and again is closed', async () => {
    const restless = connectHttp2(`http://127.0.0.1:${stage.inferencePort}`);
    restless.on('error', () => undefined);
    const closed = once(restless, 'close');
    const change = (at: number): void => {
      if (!restless.destroyed && at < 1000) restless.settings({ initialWindowSize: 65_535 + at }, () => change(at + 1));
    };
    restless.once('connect', () => change(0));
    await closed;
    await stillServes();
  });

  test('calls that say nothing make room for those that do', async () => {
    const silent = Array.from({ length: MAX_SILENT / 250 + 5 }, () =>
      connectHttp2(`http://127.0.0.1:${stage.inferencePort}`),
    );
    let opened = 0;
    let refused = 0;
    for (const client of silent) {
      client.on('error', () => undefined);
      await once(client, 'remoteSettings');
      for (let at = 0; at < 250; at += 1) {
        const stream = client.request({ ':method': 'POST', ':path': HEALTH, 'content-type': 'application/grpc' });
        opened += 1;
        stream.on('response', (head) => (refused += head['grpc-status'] === '8' ? 1 : 0));
        stream.on('error', () => undefined);
      }
    }
    await eventually('those beyond the bound are refused', () => refused > 0 && refused === opened - MAX_SILENT);
    await stillServes();
    for (const client of silent) client.destroy();
  });

  test('HTTP/1.1 and noise on the port are closed', async () => {
    for (const text of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\u0016\u0003\u0001\u0000noise']) {
      const socket = connect(stage.inferencePort, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(text);
      socket.resume();
      await new Promise((resolve) => socket.once('close', resolve));
    }
    await stillServes();
  });

  test('a flood of resets ends its connection and no other', async () => {
    const flooder = connectHttp2(`http://127.0.0.1:${stage.inferencePort}`);
    flooder.on('error', () => undefined);
    for (let at = 0; at < 5000 && !flooder.closed && !flooder.destroyed; at++) {
      const stream = flooder.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc' });
      stream.on('error', () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
      if (at % 100 === 0) await new Promise(setImmediate);
    }
    flooder.destroy();
    await stillServes();
  });
});

test('a server that stops lets calls in flight end, and cuts those that do not', async () => {
  const held: (() => void)[] = [];
  const stage = await openStage((_request, outlet) => void held.push(() => outlet.send(replyOf('late'), true)));
  using client = new GrpcClient(stage.inferencePort);
  const request = create(PredictionsRequestSchema, { modelName: 'm' });
  const first = client.unary(predictions, request, { key: 'infer' });
  const second = client.serverStream(streamPredictions, request, { key: 'infer' });
  const cut = new Promise<{ code?: number }>((resolve) => second.on('error', resolve));
  second.resume();
  await eventually('both are with the model', () => held.length === 2);
  const closed = stage.close(300);
  held[0]?.();
  assert.equal(Buffer.from((await first).prediction).toString(), 'late');
  await closed;
  assert.ok((await cut).code !== 0);
});

test('a connection that is old enough is retired, and its client goes on with a new one', async () => {
  const stage = await openStage((_request, outlet) => outlet.send(replyOf('x'), true), {
    inferenceAddress: { host: '127.0.0.1', port: 0, maxConnectionAgeMs: 50, maxConnectionAgeGraceMs: 50 },
  });
  using client = new GrpcClient(stage.inferencePort);
  const remotes = new Set<string>();
  for (let at = 0; at < 10; at++) {
    await client.unary(predictions, create(PredictionsRequestSchema, { modelName: 'm' }), { key: 'infer' });
    remotes.add(stage.access.at(-1)?.remote ?? '');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(remotes.size > 1);
  client[Symbol.dispose]();
  await stage.close();
});

test('answers that nobody reads stay under one bound for all calls together, and whoever reads gets its own', async () => {
  const piece = Buffer.alloc(1024 * 1024);
  const stage = await openStage((request, outlet) => {
    for (let at = 0; at < 50; at += 1) outlet.send(replyOf(piece), false);
    if (request.version !== undefined) outlet.send(replyOf('end'), true);
  });
  const sleepers: ClientHttp2Session[] = [];
  const stream = PATH.replace('/Predictions', '/StreamPredictions');
  for (let at = 0; at < 30; at += 1) {
    const sleeper = connectHttp2(`http://127.0.0.1:${stage.inferencePort}`);
    sleeper.on('error', () => undefined);
    sleepers.push(sleeper);
    const call = sleeper.request({
      ':method': 'POST',
      ':path': stream,
      'content-type': 'application/grpc',
      authorization: 'Bearer infer',
    });
    call.on('error', () => undefined);
    call.end(good);
    await eventually('the call is with the model', () => stage.requests.length === at + 1);
  }
  // 30 of 50 MiB each against a bound of 512 MiB.
  await eventually('those beyond the bound are cancelled', () => stage.cancelled.length >= 19);
  assert.ok(stage.cancelled.length <= 25, String(stage.cancelled.length));
  using client = new GrpcClient(stage.inferencePort);
  const request = create(PredictionsRequestSchema, { modelName: 'm', modelVersion: '1.0' });
  let bytes = 0;
  for await (const message of client.serverStream(streamPredictions, request, { key: 'infer' })) {
    bytes += (message as { prediction: Uint8Array }).prediction.length;
  }
  assert.equal(bytes, 50 * piece.length + 3);
  for (const sleeper of sleepers) sleeper.destroy();
  await stage.close(0);
});

test('a handler that streams for ever ends in a failed answer where one message was asked for', async () => {
  const piece = Buffer.alloc(1024 * 1024);
  const stage = await openStage((_request, outlet) => {
    for (let at = 0; at < 80; at += 1) outlet.send(replyOf(piece), false);
  });
  using client = new GrpcClient(stage.inferencePort);
  const call = client.unary(predictions, create(PredictionsRequestSchema, { modelName: 'm' }), { key: 'infer' });
  await assert.rejects(call, { code: 14 });
  await stage.close(0);
});

test('a model that answers no tensors, or nested ones without end, fails its request and nothing else', async () => {
  const answers: Record<string, string> = {
    text: 'no JSON',
    deep: '['.repeat(1_000_000),
    nested: `{"outputs":[{"datatype":"FP32","data":${'['.repeat(50_000)}${']'.repeat(50_000)}}]}`,
    odd: '{"outputs":[{"datatype":"INT64","shape":[{}],"data":[{"toString":1}]},null,1,"x"],"id":{}}',
    good: '{"outputs":[]}',
  };
  const stage = await openStage((request, outlet) =>
    setTimeout(() => outlet.send(replyOf(answers[request.model] ?? ''), true), 1),
  );
  using client = new GrpcClient(stage.inferencePort);
  const ask = (modelName: string) =>
    client.unary(GRPCInferenceService.method.modelInfer, create(ModelInferRequestSchema, { modelName }), {
      key: 'infer',
    });
  await assert.rejects(ask('text'), { code: 14 });
  await assert.rejects(ask('deep'), { code: 14 });
  for (const odd of ['nested', 'odd']) await ask(odd).catch((error: { code?: number }) => assert.ok(error.code));
  assert.equal((await ask('good')).modelName, 'good');
  await stage.close(0);
});

test('a connection that nobody uses is closed after half an hour, one in use is not', async () => {
  const clock = new ManualClock();
  const stage = await openStage((_request, outlet) => outlet.send(replyOf('x'), true), { clock });
  const client = connectHttp2(`http://127.0.0.1:${stage.inferencePort}`);
  const closed = once(client, 'close');
  for (let minutes = 0; minutes < 60; minutes += 20) {
    assert.equal((await callRaw(client, good)).grpcStatus, '0');
    await new Promise((resolve) => setTimeout(resolve, 20));
    clock.advance(20 * 60_000);
  }
  assert.equal(client.closed, false);
  clock.advance(11 * 60_000);
  await closed;
  await stage.close(0);
});

test('hundreds of health watchers all hear of a change, and of nothing else', async () => {
  const clock = new ManualClock();
  const stage = await openStage((_request, outlet) => outlet.send(replyOf('x'), true), { clock });
  const clients = Array.from({ length: 3 }, () => connectHttp2(`http://127.0.0.1:${stage.inferencePort}`));
  const states = new Map<number, number>();
  for (const client of clients) {
    for (let at = 0; at < 200; at += 1) {
      const watch = client.request({
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Watch',
        'content-type': 'application/grpc',
      });
      watch.on('error', () => undefined);
      watch.on('data', (message: Buffer) => {
        const state = message.at(-1) ?? 0;
        states.set(state, (states.get(state) ?? 0) + 1);
      });
      watch.end(framed(Buffer.alloc(0)));
    }
  }
  await eventually('every watch has its first answer', () => states.get(1) === 600);
  stage.isHealthy = false;
  await eventually('every watcher knows of the change', () => {
    clock.advance(1000);
    return states.get(2) === 600;
  });
  assert.deepEqual(
    [...states],
    [
      [1, 600],
      [2, 600],
    ],
  );
  for (const client of clients) client.destroy();
  await eventually('every watch is over', () => stage.access.length === 600);
  await stage.close(0);
});

test('what a client left unread is let go of when it leaves', async () => {
  const stage = await openStage((_request, outlet) => {
    const body = Buffer.alloc(4_000_000);
    held.register(body.buffer, stage.requests.length);
    outlet.send(replyOf(body), true);
  });
  const collected: number[] = [];
  const held = new FinalizationRegistry<number>((at) => collected.push(at));
  for (let at = 0; at < 5; at += 1) {
    const client = new FrameClient(stage.inferencePort, false);
    const window = Buffer.concat([Buffer.from([0, 4]), u32(0x7fffffff)]);
    client.send(
      frame(FRAME.settings, 0, 0, window),
      frame(FRAME.windowUpdate, 0, 0, u32(0x7ffe0000)),
      frame(
        FRAME.headers,
        END_HEADERS,
        1,
        Buffer.concat([callHeaders(PATH), literal('authorization', 'Bearer infer')]),
      ),
      frame(FRAME.data, END_STREAM, 1, good),
    );
    await eventually('the call is over', () => stage.access.length > at);
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.socket.resetAndDestroy();
  }
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let tries = 0; tries < 100 && collected.length < 4; tries += 1) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(collected.length >= 4, `${collected.length} of 5`);
  await stage.close(0);
});

test('a connection that never speaks is closed', async () => {
  const clock = new ManualClock();
  const stage = await openStage((_request, outlet) => outlet.send(replyOf('x'), true), { clock });
  const silent = connect(stage.inferencePort, '127.0.0.1');
  await once(silent, 'connect');
  const ended = once(silent.resume(), 'close');
  const speaking = connectHttp2(`http://127.0.0.1:${stage.inferencePort}`);
  assert.equal((await callRaw(speaking, good)).grpcStatus, '0');
  clock.advance(10_000);
  await ended;
  assert.equal((await callRaw(speaking, good)).grpcStatus, '0');
  speaking.destroy();
  await stage.close(0);
});

/** One message, one byte to a frame. */
function callInCrumbs(session: ClientHttp2Session, bytes: number): Promise<Ending> {
  const { stream, ending } = openCall(session);
  stream.write(framed(new Uint8Array(bytes)).subarray(0, 5));
  const next = (left: number): void => {
    if (left > 0 && !stream.destroyed) stream.write(Buffer.alloc(1), () => next(left - 1));
  };
  next(bytes);
  return ending;
}

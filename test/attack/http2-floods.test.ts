// Floods of HTTP/2 frames at the gRPC listener, none of which needs a key. nghttp2 and Node stop most of them; these tests
// show that they do, in the version that we run. A neighbour is asked all the while.
import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { InferenceAPIsService, PredictionsRequestSchema } from '../../src/grpc/gen/inference_pb.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { openStage, replyOf, type Stage } from '../support/grpc-fakes.ts';
import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  FrameClient,
  indexed,
  literal,
  u32,
} from '../support/http2-frames.ts';

const HEALTH = '/grpc.health.v1.Health/Check';
const { predictions } = InferenceAPIsService.method;
const times = (count: number, make: (at: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, at) => make(at)));
/** Client streams have odd numbers. */
const streamOf = (at: number): number => at * 2 + 1;
const open = (stream: number, more: Uint8Array = Buffer.alloc(0)): Buffer =>
  frame(FRAME.headers, END_HEADERS, stream, Buffer.concat([callHeaders(HEALTH), more]));

describe('floods of frames', () => {
  let stage: Stage;
  let neighbour: GrpcClient;
  const stopped = new AbortController();
  let asking: Promise<void>;
  let answers = 0;

  before(async () => {
    stage = await openStage((_request, outlet) => outlet.send(replyOf('x'), true));
    neighbour = new GrpcClient(stage.inferencePort);
    const ask = async (): Promise<void> => {
      while (!stopped.signal.aborted) {
        const request = create(PredictionsRequestSchema, { modelName: 'm' });
        await neighbour.unary(predictions, request, { key: 'infer' });
        answers += 1;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    asking = ask();
  });
  after(async () => {
    stopped.abort();
    await asking;
    neighbour[Symbol.dispose]();
    await stage.close(0);
    assert.ok(answers > 0);
  });

  const isAnswered = async (): Promise<void> => {
    const request = create(PredictionsRequestSchema, { modelName: 'm' });
    assert.equal(
      Buffer.from((await neighbour.unary(predictions, request, { key: 'infer' })).prediction).toString(),
      'x',
    );
  };

  const floods: Record<string, (at: number) => Buffer> = {
    pings: () => times(2000, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))),
    'empty settings': () => times(2000, () => frame(FRAME.settings, 0, 0)),
    settings: (at) => frame(FRAME.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), u32(65_535 + at)])),
    priorities: () => times(2000, (at) => frame(FRAME.priority, 0, streamOf(at), Buffer.alloc(5, 1))),
    'frames of no known type': () => times(2000, () => frame(0x77, 0, 0, Buffer.alloc(8))),
    'calls that are reset': (at) =>
      times(50, (n) => {
        const stream = streamOf(at * 50 + n);
        return Buffer.concat([open(stream), frame(FRAME.reset, 0, stream, u32(8))]);
      }),
    'calls that the server has to reset': (at) =>
      times(50, (n) => {
        const stream = streamOf(at * 50 + n);
        return Buffer.concat([open(stream), frame(FRAME.windowUpdate, 0, stream, u32(0))]);
      }),
    'calls beyond the number that was allowed': (at) => times(100, (n) => open(streamOf(at * 100 + n))),
  };
  for (const [name, next] of Object.entries(floods)) {
    for (const isReading of [true, false]) {
      test(`of ${name} end with the connection (${isReading ? 'reading' : 'not reading'})`, async () => {
        using client = new FrameClient(stage.inferencePort, isReading);
        assert.ok(await client.flood(400, next));
      });
    }
  }

  test('header blocks without end, of nothing or of much, end with the connection', async () => {
    const pieces: Buffer[] = [Buffer.alloc(0), times(20, () => literal('x-a', 'y'.repeat(600)))];
    for (const piece of pieces) {
      using client = new FrameClient(stage.inferencePort);
      client.send(frame(FRAME.headers, 0, 1, callHeaders(HEALTH)));
      assert.ok(await client.flood(400, () => times(50, () => frame(FRAME.continuation, 0, 1, piece))));
    }
  });

  test('empty data without end ends with the connection', async () => {
    using client = new FrameClient(stage.inferencePort);
    client.send(open(1));
    assert.ok(await client.flood(400, () => times(1000, () => frame(FRAME.data, 0, 1))));
  });

  test('a header of kilobytes, named by one byte thousands of times, is unpacked for no call', async () => {
    using client = new FrameClient(stage.inferencePort);
    client.send(open(1, indexed('x-b', 'y'.repeat(3900))));
    await client.flood(60, (at) => open(streamOf(at + 1), Buffer.alloc(12_000, 0x80 | 62)));
    assert.deepEqual(
      client.resets,
      Array.from({ length: 60 }, () => constants.NGHTTP2_ENHANCE_YOUR_CALM),
    );
  });

  test('window updates cost their bytes and nothing else', async () => {
    using client = new FrameClient(stage.inferencePort);
    assert.ok(!(await client.flood(100, () => times(1000, () => frame(FRAME.windowUpdate, 0, 0, u32(1))))));
    await isAnswered();
  });

  test('calls opened and reset in one packet, whatever they ask for, end nothing but themselves', async () => {
    using client = new FrameClient(stage.inferencePort);
    const heads = [
      callHeaders(HEALTH),
      callHeaders(HEALTH, true),
      callHeaders('/no.such.Service/Method'),
      Buffer.concat([callHeaders(HEALTH), literal('grpc-timeout', 'soon')]),
      Buffer.concat([callHeaders(HEALTH), literal('grpc-timeout', '0n')]),
    ];
    for (let at = 0; at < 60; at += 1) {
      const flags = at % 2 ? END_HEADERS : END_HEADERS | END_STREAM;
      const stream = streamOf(at);
      client.send(
        frame(FRAME.headers, flags, stream, heads[at % heads.length]!),
        ...(at % 3 && !(flags & END_STREAM) ? [frame(FRAME.data, 0, stream, Buffer.from([0, 0, 0, 0, 0]))] : []),
        frame(FRAME.reset, 0, stream, u32(8)),
      );
      if (at % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.ok(!client.isClosed);
    await isAnswered();
  });
});

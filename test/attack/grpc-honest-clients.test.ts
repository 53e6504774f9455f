// Honest gRPC clients that look like hostile ones: no limit may end their calls.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { PredictionsRequestSchema } from '../../src/grpc/gen/inference_pb.ts';
import type { Outlet } from '../../src/serving/index.ts';
import { openStage, replyOf } from '../support/grpc-fakes.ts';
import { ManualClock } from '../support/manual-clock.ts';

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

test('a client that the server itself has asked to wait, in the middle of a message, is not taken for one that stalls', async () => {
  const clock = new ManualClock();
  const outlets: Outlet[] = [];
  const stage = await openStage((_request, outlet) => void outlets.push(outlet), { clock });
  const client = connectHttp2(`http://127.0.0.1:${stage.inferencePort}`);
  const input = create(PredictionsRequestSchema, { modelName: 'm', sequenceId: 's' });
  const message = framed(toBinary(PredictionsRequestSchema, input));
  const stream = client.request({
    ':method': 'POST',
    ':path': '/org.pytorch.serve.grpc.inference.InferenceAPIsService/StreamPredictions2',
    'content-type': 'application/grpc',
    authorization: 'Bearer infer',
  });
  stream.on('error', () => undefined).resume();
  const trailers = once(stream, 'trailers');
  stream.write(Buffer.concat([...Array.from({ length: 64 }, () => message), message.subarray(0, 7)]));
  await waitFor('all whole messages are with the model', () => outlets.length === 64);
  clock.advance(400_000);
  for (const outlet of outlets.splice(0)) outlet.send(replyOf('x'), true);
  stream.end(message.subarray(7));
  await waitFor('the message in halves is with the model', () => outlets.length === 1);
  outlets[0]?.send(replyOf('x'), true);
  assert.equal((await trailers)[0]['grpc-status'], '0');
  client.destroy();
  await stage.close(0);
});

async function waitFor(what: string, isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo() && tries < 1000; tries += 1) await pause(10);
  assert.ok(isSo(), what);
}

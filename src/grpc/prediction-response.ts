// Writes PredictionResponse. A prediction's bytes go out as the worker's channel delivered them: only their tag and length are made here.
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { ErrorInfoSchema } from './gen/google/rpc/error_details_pb.ts';
import { PredictionResponseSchema } from './gen/inference_pb.ts';
import type { Reply } from '../serving/index.ts';
import type { GrpcStatus, ServerCall } from './transport.ts';

/** Field 1, length-delimited. */
const PREDICTION_TAG = 0x0a;

/** Status, headers and content type that the handler set have no place in this message (surface spec 5.4). */
export function sendPrediction(call: ServerCall, { body, bytes }: Reply): void {
  // proto3 leaves an empty field out.
  if (bytes === 0) return call.send([], 0);
  const head = tagAndLength(bytes);
  call.send([head, ...body], head.length + bytes);
}

/** StreamPredictions2's way to fail one request without ending the call (surface spec 5.5). */
export function sendFailure(call: ServerCall, { code, message }: GrpcStatus, reason: string): void {
  const details = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason }))];
  const failure = create(PredictionResponseSchema, { status: { code, message, details } });
  const bytes = toBinary(PredictionResponseSchema, failure);
  call.send([bytes], bytes.length);
}

function tagAndLength(bytes: number): Uint8Array {
  const head = [PREDICTION_TAG];
  let rest = bytes;
  for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80);
  head.push(rest);
  return Uint8Array.from(head);
}

// TorchServe's InferenceAPIsService (surface spec 5.2).
import { create } from '@bufbuild/protobuf';
import { OPEN, scoped } from '../policy/index.ts';
import { InferenceAPIsService, TorchServeHealthResponseSchema } from './gen/inference_pb.ts';
import { pathOf, unary, type Method } from './method.ts';
import { PredictionCall, type PredictionPorts } from './prediction-call.ts';
import { SequenceCall, type SequenceHeaders } from './sequence-call.ts';
import { inferenceStatus } from './status-of-fault.ts';

export interface InferenceOptions {
  readonly doesPingRequireToken: boolean;
  readonly sequenceHeaders: SequenceHeaders;
}

export function inferenceMethods(
  ports: PredictionPorts & { isHealthy(): boolean },
  { doesPingRequireToken, sequenceHeaders }: InferenceOptions,
): readonly Method[] {
  const { ping, predictions, streamPredictions, streamPredictions2 } = InferenceAPIsService.method;
  const predict = { operation: 'predict', permission: scoped('infer') };
  const pingPermission = doesPingRequireToken ? scoped('infer') : OPEN;
  return [
    unary(ping, { operation: 'ping', permission: pingPermission, statusOf: inferenceStatus }, () =>
      create(TorchServeHealthResponseSchema, {
        health: JSON.stringify({ status: ports.isHealthy() ? 'Healthy' : 'Unhealthy' }, null, 2),
      }),
    ),
    { ...predict, path: pathOf(predictions), open: (caller) => new PredictionCall(caller, ports, false) },
    { ...predict, path: pathOf(streamPredictions), open: (caller) => new PredictionCall(caller, ports, true) },
    {
      ...predict,
      path: pathOf(streamPredictions2),
      open: (caller) => new SequenceCall(caller, ports, sequenceHeaders),
    },
  ];
}

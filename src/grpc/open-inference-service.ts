// The Open Inference Protocol's GRPCInferenceService (surface spec 5.6), under TorchServe's package name and under its own.
import { create } from '@bufbuild/protobuf';
import { Fault } from '../kernel/index.ts';
import { OPEN, scoped } from '../policy/index.ts';
import type { InputPart, ManagementPlane, ModelDescription, Reply } from '../serving/index.ts';
import {
  GRPCInferenceService,
  ModelInferResponseSchema,
  ModelMetadataResponse_TensorMetadataSchema,
  ModelMetadataResponseSchema,
  ModelReadyResponseSchema,
  ServerLiveResponseSchema,
  ServerReadyResponseSchema,
  type ModelInferResponse,
} from './gen/open_inference_pb.ts';
import { readInferRequest, type InferRequest } from './infer-request.ts';
import { unary, unaryOf, type Caller, type Method } from './method.ts';
import { outputTensors } from './output-tensor.ts';
import { inferenceRequest, MAX_JOINED_BYTES, tooManyPieces, type PredictionPorts } from './prediction-call.ts';
import { parsePythonJson } from './reply-json.ts';
import { inferenceStatus, managementStatus } from './status-of-fault.ts';
import { requestJson } from './tensor-json.ts';

export type OpenInferencePorts = PredictionPorts & {
  readonly management: Pick<ManagementPlane, 'describe'>;
  readonly doesPingRequireToken: boolean;
};

/** What stock KServe and Triton clients call the same service. */
const STANDARD_NAME = 'inference.GRPCInferenceService';

export function openInferenceMethods(ports: OpenInferencePorts): readonly Method[] {
  return [GRPCInferenceService.typeName, STANDARD_NAME].flatMap((service) => methodsOf(service, ports));
}

function methodsOf(service: string, ports: OpenInferencePorts): readonly Method[] {
  const { serverLive, serverReady, serverMetadata, modelReady, modelMetadata, modelInfer } =
    GRPCInferenceService.method;
  const rest = { service, operation: 'open_inference', permission: scoped('infer'), statusOf: openInferenceStatus };
  // Liveness and readiness are probes, like Ping: they answer without a key unless told otherwise (design 3).
  const probe = { ...rest, permission: ports.doesPingRequireToken ? scoped('infer') : OPEN };
  return [
    unary(serverLive, probe, () => create(ServerLiveResponseSchema, { live: true })),
    unary(serverReady, probe, () => create(ServerReadyResponseSchema, { ready: true })),
    unary(serverMetadata, rest, () => {
      throw new Fault('not_implemented', 'ServerMetadata is not implemented.');
    }),
    unary(modelReady, rest, async ({ name, version }, caller) => {
      if (name === '') throw new Fault('bad_request', 'Parameter name is required.');
      ports.gate.require(caller.principal, scoped('infer', name));
      const [model] = await ports.management.describe(name, version === '' ? undefined : version);
      return create(ModelReadyResponseSchema, { ready: model !== undefined && isReady(model) });
    }),
    unary(modelMetadata, rest, async ({ name }, caller) => {
      if (name === '') throw new Fault('bad_request', 'Parameter model_name is required.');
      ports.gate.require(caller.principal, scoped('infer', name));
      const models = await ports.management.describe(name, 'all');
      return create(ModelMetadataResponseSchema, {
        name,
        versions: models.map((model) => String(model['modelVersion'])),
        inputs: tensorsOf(models[0]?.['inputs']),
        outputs: tensorsOf(models[0]?.['outputs']),
      });
    }),
    unaryOf(
      modelInfer,
      { ...rest, operation: 'predict', statusOf: inferenceStatus },
      readInferRequest,
      (request, caller) => infer(request, caller, ports),
    ),
  ];
}

/** An unknown model is NOT_FOUND when asked about, and INTERNAL when asked to infer. */
const openInferenceStatus = (fault: Fault) =>
  fault.code === 'bad_request' ? inferenceStatus(fault) : managementStatus(fault);

async function infer(request: InferRequest, caller: Caller, ports: PredictionPorts): Promise<ModelInferResponse> {
  const { modelName, modelVersion } = request;
  ports.gate.require(caller.principal, scoped('infer', modelName === '' ? undefined : modelName));
  const left = new AbortController();
  caller.onCancel = () => left.abort();
  const json = await requestJson(request, left.signal);
  left.signal.throwIfAborted();
  const part: InputPart = { name: 'body', contentType: 'application/json', chunks: [json], bytes: json.length };
  const input = { modelName, version: modelVersion || undefined, parts: [part], sequenceId: undefined };
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const body: Uint8Array[] = [];
    let bytes = 0;
    const ticket = ports.dataPlane.submit(inferenceRequest(input, caller, ports.gate, []), {
      send(reply: Reply, isLast) {
        bytes += reply.bytes;
        if (bytes > MAX_JOINED_BYTES) {
          body.length = 0;
          reject(tooManyPieces());
          caller.onCancel?.();
          return;
        }
        body.push(...reply.body);
        if (isLast) resolve(Buffer.concat(body));
      },
      fail: reject,
    });
    caller.onCancel = () => ticket.cancel();
  });
  return inferResponse(answer, request);
}

/** Rejects with Fault `prediction_failed` for a reply that is not the envelope's JSON. */
async function inferResponse(body: Buffer, request: InferRequest): Promise<ModelInferResponse> {
  const { id, model_name: name, model_version: version, outputs } = jsonObject(body);
  return create(ModelInferResponseSchema, {
    id: typeof id === 'string' ? id : request.id,
    modelName: typeof name === 'string' ? name : request.modelName,
    modelVersion: typeof version === 'string' ? version : request.modelVersion,
    outputs: await outputTensors(outputs),
  });
}

function jsonObject(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value = parsePythonJson(body.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below: the model runs without the kservev2 envelope.
  }
  throw new Fault(
    'prediction_failed',
    'The model did not answer with a KServe v2 JSON object. It needs service_envelope=kservev2.',
  );
}

function isReady({ workers, minWorkers }: ModelDescription): boolean {
  const ready = (workers as readonly { readonly status?: string }[]).filter(({ status }) => status === 'READY');
  return ready.length >= Number(minWorkers);
}

/** What a model reported of its tensors when it was loaded: untrusted, so anything odd is left out. */
function tensorsOf(list: unknown) {
  if (!Array.isArray(list)) return [];
  return list.flatMap((tensor: unknown) => {
    const { name, datatype, shape } = (tensor ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof name !== 'string' || typeof datatype !== 'string' || !Array.isArray(shape)) return [];
    const sizes = shape.map((size) => (Number.isSafeInteger(size) ? BigInt(size as number) : -1n));
    return [create(ModelMetadataResponse_TensorMetadataSchema, { name, datatype, shape: sizes })];
  });
}

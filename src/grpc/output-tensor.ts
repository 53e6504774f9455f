// A model's output tensors, from JSON to protobuf (surface spec 5.6). A model may write anything; what is no tensor is left out.
import { create } from '@bufbuild/protobuf';
import { Fault } from '../kernel/index.ts';
import {
  InferTensorContentsSchema,
  ModelInferResponse_InferOutputTensorSchema,
  type ModelInferResponse_InferOutputTensor,
} from './gen/open_inference_pb.ts';
import { MAX_DIMENSIONS } from './infer-request.ts';
import { Turns } from './turns.ts';

/** The array of `InferTensorContents` that holds each datatype. */
const CONTENTS = {
  BOOL: 'boolContents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  FP16: 'fp32Contents',
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
} as const;
type Datatype = keyof typeof CONTENTS;

/**
 * The reply's `outputs`, without what is no tensor of the protocol. A reply holds millions of numbers, so other work gets its
 * turn in between. Rejects with Fault `prediction_failed` for lists in lists without end.
 */
export async function outputTensors(outputs: unknown): Promise<ModelInferResponse_InferOutputTensor[]> {
  const tensors: ModelInferResponse_InferOutputTensor[] = [];
  const turns = new Turns();
  for (const output of Array.isArray(outputs) ? outputs : []) {
    const tensor = await outputTensor(output, turns);
    if (tensor !== undefined) tensors.push(tensor);
    if (turns.step()) await turns.next();
  }
  return tensors;
}

async function outputTensor(output: unknown, turns: Turns): Promise<ModelInferResponse_InferOutputTensor | undefined> {
  if (typeof output !== 'object' || output === null) return undefined;
  const { name, datatype, shape, data } = output as Readonly<Record<string, unknown>>;
  if (typeof datatype !== 'string' || !Object.hasOwn(CONTENTS, datatype) || !Array.isArray(data)) return undefined;
  const member = CONTENTS[datatype as Datatype];
  const convert = CONVERT[member];
  const elements: unknown[] = [];
  for (const value of leavesOf(data)) {
    elements.push(convert(value));
    if (turns.step()) await turns.next();
  }
  return create(ModelInferResponse_InferOutputTensorSchema, {
    name: typeof name === 'string' ? name : '',
    datatype,
    shape: Array.isArray(shape) ? shape.slice(0, MAX_DIMENSIONS).map(bigInteger) : [],
    contents: create(InferTensorContentsSchema, { [member]: elements }),
  });
}

/** The values of a list and of the lists in it, in order. */
function* leavesOf(list: readonly unknown[], depth = 1): Generator<unknown> {
  if (depth > MAX_DIMENSIONS)
    throw new Fault('prediction_failed', `The model answered a tensor of more than ${MAX_DIMENSIONS} dimensions.`);
  for (const value of list) {
    if (Array.isArray(value)) yield* leavesOf(value, depth + 1);
    else yield value;
  }
}

const CONVERT: Readonly<Record<(typeof CONTENTS)[Datatype], (value: unknown) => unknown>> = {
  boolContents: Boolean,
  intContents: (value) => numberOf(value) | 0,
  uintContents: (value) => numberOf(value) >>> 0,
  int64Contents: bigInteger,
  uint64Contents: (value) => BigInt.asUintN(64, bigInteger(value)),
  fp32Contents: finiteFloat,
  fp64Contents: numberOf,
  // The JSON text of each element, quotes included: what TorchServe sends (surface spec 5.6).
  bytesContents: (value) => Buffer.from(JSON.stringify(value) ?? 'null'),
};

/** protobuf-es refuses a float that does not fit into 32 bits; the model meant infinity. */
function finiteFloat(value: unknown): number {
  return Math.fround(numberOf(value));
}

/** An object may have a `toString` that is no function: nothing of it is called. */
function numberOf(value: unknown): number {
  return typeof value === 'object' && value !== null ? NaN : Number(value);
}

/** A long integer comes as text (see parsePythonJson). */
function bigInteger(value: unknown): bigint {
  if (typeof value === 'string') return /^-?\d{1,20}$/.test(value) ? BigInt.asIntN(64, BigInt(value)) : 0n;
  return typeof value === 'number' && Number.isFinite(value) ? BigInt.asIntN(64, BigInt(Math.trunc(value))) : 0n;
}

// A model's output tensors, from JSON to protobuf (surface spec 5.6). A model may write anything; what is no tensor is left out.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  InferTensorContentsSchema,
  ModelInferResponse_InferOutputTensorSchema,
  type ModelInferResponse_InferOutputTensor,
} from './gen/open_inference_pb.ts';

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

/** One element of the reply's `outputs`; undefined for what is no tensor of the protocol. */
export function outputTensor(output: unknown): ModelInferResponse_InferOutputTensor | undefined {
  if (typeof output !== 'object' || output === null) return undefined;
  const { name, datatype, shape, data } = output as Readonly<Record<string, unknown>>;
  if (typeof datatype !== 'string' || !Object.hasOwn(CONTENTS, datatype) || !Array.isArray(data)) return undefined;
  return create(ModelInferResponse_InferOutputTensorSchema, {
    name: typeof name === 'string' ? name : '',
    datatype,
    shape: Array.isArray(shape) ? shape.map(bigInteger) : [],
    contents: create(InferTensorContentsSchema, outputContents(datatype as Datatype, data.flat(Infinity))),
  });
}

function outputContents(
  datatype: Datatype,
  data: readonly unknown[],
): MessageInitShape<typeof InferTensorContentsSchema> {
  switch (CONTENTS[datatype]) {
    case 'boolContents':
      return { boolContents: data.map(Boolean) };
    case 'intContents':
      return { intContents: data.map((value) => numberOf(value) | 0) };
    case 'uintContents':
      return { uintContents: data.map((value) => numberOf(value) >>> 0) };
    case 'int64Contents':
      return { int64Contents: data.map(bigInteger) };
    case 'uint64Contents':
      return { uint64Contents: data.map((value) => BigInt.asUintN(64, bigInteger(value))) };
    case 'fp32Contents':
      return { fp32Contents: data.map(finiteFloat) };
    case 'fp64Contents':
      return { fp64Contents: data.map(numberOf) };
    case 'bytesContents':
      // The JSON text of each element, quotes included: what TorchServe sends (surface spec 5.6).
      return { bytesContents: data.map((value) => Buffer.from(JSON.stringify(value) ?? 'null')) };
  }
}

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

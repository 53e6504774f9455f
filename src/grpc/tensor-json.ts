// Tensors of the Open Inference Protocol, between their protobuf and their JSON form (surface spec 5.6).
import { setImmediate } from 'node:timers/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Fault } from '../kernel/index.ts';
import {
  InferTensorContentsSchema,
  ModelInferResponse_InferOutputTensorSchema,
  type InferTensorContents,
  type ModelInferRequest,
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

/**
 * `{"id","model_name","inputs":[{"name","shape","datatype","data"}]}`: what the kservev2 envelope reads. A message holds
 * millions of numbers, so other work gets its turn in between. Rejects with Fault `bad_request`, and when `signal` aborts.
 */
export async function requestJson(request: ModelInferRequest, signal: AbortSignal): Promise<Buffer> {
  const { id, modelName, inputs, rawInputContents } = request;
  if (inputs.length > MAX_TENSORS) throw new Fault('bad_request', `More than ${MAX_TENSORS} inputs in one request.`);
  if (rawInputContents.length > 0 && rawInputContents.length !== inputs.length) {
    throw new Fault('bad_request', 'raw_input_contents must have one entry for each input.');
  }
  for (const text of [id, modelName, ...inputs.map(({ name }) => name)]) {
    if (text.length > MAX_NAME_CHARS)
      throw new Fault('bad_request', `A name is longer than ${MAX_NAME_CHARS} characters.`);
  }
  const json = new SlicedText(signal);
  json.add(`{"id":${JSON.stringify(id)},"model_name":${JSON.stringify(modelName)},"inputs":[`);
  for (const [at, { name, shape, datatype, contents }] of inputs.entries()) {
    if (shape.length > MAX_DIMENSIONS) throw new Fault('bad_request', `More than ${MAX_DIMENSIONS} dimensions.`);
    const raw = rawInputContents[at];
    json.add(`${at === 0 ? '' : ','}{"name":${JSON.stringify(name)},"shape":[${shape.join(',')}],`);
    json.add(`"datatype":${JSON.stringify(datatype)},"data":[`);
    if (raw === undefined) await json.addElements(typedElements(datatype, contents));
    else await json.addElements(rawElements(datatype, raw));
    json.add(']}');
  }
  json.add(']}');
  return json.whole();
}

/** More tensors, or more dimensions of one, than any framework takes. */
const MAX_TENSORS = 1000;
const MAX_DIMENSIONS = 64;
const MAX_NAME_CHARS = 4096;

function* typedElements(datatype: string, contents: InferTensorContents | undefined): Generator<string> {
  const member = CONTENTS[knownType(datatype)];
  const values: Iterable<boolean | number | bigint | Uint8Array> = contents?.[member] ?? [];
  for (const value of values) yield elementJson(value);
}

/** BYTES elements travel as base64, because JSON has no bytes; 64-bit integers keep all their digits. */
function elementJson(value: boolean | number | bigint | Uint8Array): string {
  return value instanceof Uint8Array ? `"${Buffer.from(value).toString('base64')}"` : numberJson(value);
}

/** Python's JSON reader takes NaN and Infinity, which JavaScript's writer would turn into null. */
const numberJson = (value: boolean | number | bigint): string => String(value);

/** Little-endian elements without gaps; BYTES elements each behind their length in four bytes. */
function* rawElements(datatype: string, raw: Uint8Array): Generator<string> {
  const type = knownType(datatype);
  if (type === 'BYTES') {
    for (const value of lengthPrefixed(raw)) yield elementJson(value);
    return;
  }
  const [size, read] = RAW[type];
  if (raw.length % size !== 0)
    throw new Fault('bad_request', `A raw ${type} tensor must have a multiple of ${size} bytes.`);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  for (let at = 0; at < raw.length; at += size) yield numberJson(read(view, at));
}

/** Some milliseconds of writing. */
const SLICE_ELEMENTS = 8192;

/** Text that is written slice by slice. */
class SlicedText {
  readonly #pieces: Buffer[] = [];
  readonly #signal: AbortSignal;
  #text = '';

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(text: string): void {
    this.#text += text;
  }

  async addElements(elements: Iterable<string>): Promise<void> {
    let count = 0;
    for (const element of elements) {
      this.#text += count === 0 ? element : `,${element}`;
      count += 1;
      if (count % SLICE_ELEMENTS > 0) continue;
      this.#flush();
      await setImmediate();
      this.#signal.throwIfAborted();
    }
  }

  whole(): Buffer {
    this.#flush();
    return this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
  }

  #flush(): void {
    this.#pieces.push(Buffer.from(this.#text));
    this.#text = '';
  }
}

const RAW: Readonly<
  Record<
    Exclude<Datatype, 'BYTES'>,
    readonly [size: number, read: (from: DataView, at: number) => boolean | number | bigint]
  >
> = {
  BOOL: [1, (from, at) => from.getUint8(at) !== 0],
  INT8: [1, (from, at) => from.getInt8(at)],
  INT16: [2, (from, at) => from.getInt16(at, true)],
  INT32: [4, (from, at) => from.getInt32(at, true)],
  INT64: [8, (from, at) => from.getBigInt64(at, true)],
  UINT8: [1, (from, at) => from.getUint8(at)],
  UINT16: [2, (from, at) => from.getUint16(at, true)],
  UINT32: [4, (from, at) => from.getUint32(at, true)],
  UINT64: [8, (from, at) => from.getBigUint64(at, true)],
  FP16: [2, (from, at) => halfFloat(from.getUint16(at, true))],
  FP32: [4, (from, at) => from.getFloat32(at, true)],
  FP64: [8, (from, at) => from.getFloat64(at, true)],
};

function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function* lengthPrefixed(raw: Uint8Array): Generator<Uint8Array> {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  for (let at = 0; at < bytes.length;) {
    const length = at + 4 <= bytes.length ? bytes.readUInt32LE(at) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > bytes.length) throw new Fault('bad_request', 'A raw BYTES tensor ends inside an element.');
    yield bytes.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
}

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

function knownType(datatype: string): Datatype {
  if (Object.hasOwn(CONTENTS, datatype)) return datatype as Datatype;
  throw new Fault(
    'bad_request',
    `Datatype "${datatype.slice(0, 32)}" is not one of ${Object.keys(CONTENTS).join(', ')}.`,
  );
}

// Reads ModelInferRequest. By hand, because its tensors may be millions of numbers: decoded at once they are millions of
// objects and a second in which nobody else is served. They stay bytes here; tensor-json.ts reads them in turns.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { Fault } from '../kernel/index.ts';
import { MAX_ENTRIES } from './entry-limit.ts';
import { unreadable } from './method.ts';
import type { Message } from './transport.ts';

export interface InferInput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly bigint[];
  /** The bytes of each `InferTensorContents`; protobuf adds up their lists. */
  readonly contents: readonly Uint8Array[];
}

export interface InferRequest {
  readonly id: string;
  readonly modelName: string;
  readonly modelVersion: string;
  readonly inputs: readonly InferInput[];
  readonly rawInputContents: readonly Uint8Array[];
}

/** More tensors, or more dimensions of one, than any framework takes; answers are held to the same. */
const MAX_TENSORS = 1000;
export const MAX_DIMENSIONS = 64;
/** Those included that a handler does not get; the elements of lists are no fields here. As many as of other messages. */
const MAX_FIELDS = MAX_ENTRIES;

const FIELD = { modelName: 1, modelVersion: 2, id: 3, inputs: 5, rawInputContents: 7 } as const;
const INPUT = { name: 1, datatype: 2, shape: 3, contents: 5 } as const;

/** Throws UnreadableMessage for bytes that are no such message, and Fault `bad_request` for too much of anything. */
export function readInferRequest({ pieces, bytes }: Message): InferRequest {
  try {
    return readRequest(new BinaryReader(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, bytes)));
  } catch (thrown) {
    throw unreadable(thrown);
  }
}

function readRequest(reader: BinaryReader): InferRequest {
  const request = { id: '', modelName: '', modelVersion: '' };
  const inputs: InferInput[] = [];
  const rawInputContents: Uint8Array[] = [];
  const fields = new FieldCount();
  while (reader.pos < reader.len) {
    const [field, type] = fields.next(reader);
    if (type !== WireType.LengthDelimited) reader.skip(type, field);
    else if (field === FIELD.id) request.id = reader.string(true);
    else if (field === FIELD.modelName) request.modelName = reader.string(true);
    else if (field === FIELD.modelVersion) request.modelVersion = reader.string(true);
    else if (field === FIELD.inputs) addTensor(inputs, readInput(reader.bytes(), fields));
    else if (field === FIELD.rawInputContents) addTensor(rawInputContents, reader.bytes());
    else reader.skip(type, field);
  }
  return { ...request, inputs, rawInputContents };
}

function readInput(bytes: Uint8Array, fields: FieldCount): InferInput {
  const input = { name: '', datatype: '' };
  const shape: bigint[] = [];
  const contents: Uint8Array[] = [];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = fields.next(reader);
    if (field === INPUT.shape && type === WireType.Varint) addDimension(shape, reader);
    else if (type !== WireType.LengthDelimited) reader.skip(type, field);
    else if (field === INPUT.name) input.name = reader.string(true);
    else if (field === INPUT.datatype) input.datatype = reader.string(true);
    else if (field === INPUT.contents) contents.push(reader.bytes());
    else if (field === INPUT.shape) {
      const packed = new BinaryReader(reader.bytes());
      while (packed.pos < packed.len) addDimension(shape, packed);
    } else reader.skip(type, field);
  }
  return { ...input, shape, contents };
}

function addTensor<Tensor>(tensors: Tensor[], tensor: Tensor): void {
  if (tensors.length === MAX_TENSORS) throw new Fault('bad_request', `More than ${MAX_TENSORS} inputs in one request.`);
  tensors.push(tensor);
}

function addDimension(shape: bigint[], reader: BinaryReader): void {
  if (shape.length === MAX_DIMENSIONS) throw new Fault('bad_request', `More than ${MAX_DIMENSIONS} dimensions.`);
  shape.push(BigInt(reader.int64()));
}

class FieldCount {
  #count = 0;

  next(reader: BinaryReader): [field: number, type: WireType] {
    this.#count += 1;
    if (this.#count > MAX_FIELDS) throw new Fault('bad_request', `A message has at most ${MAX_FIELDS} fields.`);
    return reader.tag();
  }
}

// Tensor element types: ONNX names, Open Inference Protocol names, sizes and typed arrays.

export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | string[];

type TypedArrayConstructor = {
  new (length: number): Exclude<TensorData, string[]>;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): Exclude<TensorData, string[]>;
};

export interface ElementType {
  /** Open Inference Protocol. */
  readonly datatype: string;
  /** 0 for text, which has no fixed size. */
  readonly bytes: number;
  readonly array: TypedArrayConstructor | undefined;
  readonly kind: 'float' | 'half' | 'integer' | 'bigint' | 'boolean' | 'text';
}

const TYPES: Readonly<Record<string, ElementType>> = {
  float32: { datatype: 'FP32', bytes: 4, array: Float32Array, kind: 'float' },
  float64: { datatype: 'FP64', bytes: 8, array: Float64Array, kind: 'float' },
  float16: { datatype: 'FP16', bytes: 2, array: Uint16Array, kind: 'half' },
  int8: { datatype: 'INT8', bytes: 1, array: Int8Array, kind: 'integer' },
  int16: { datatype: 'INT16', bytes: 2, array: Int16Array, kind: 'integer' },
  int32: { datatype: 'INT32', bytes: 4, array: Int32Array, kind: 'integer' },
  int64: { datatype: 'INT64', bytes: 8, array: BigInt64Array, kind: 'bigint' },
  uint8: { datatype: 'UINT8', bytes: 1, array: Uint8Array, kind: 'integer' },
  uint16: { datatype: 'UINT16', bytes: 2, array: Uint16Array, kind: 'integer' },
  uint32: { datatype: 'UINT32', bytes: 4, array: Uint32Array, kind: 'integer' },
  uint64: { datatype: 'UINT64', bytes: 8, array: BigUint64Array, kind: 'bigint' },
  bool: { datatype: 'BOOL', bytes: 1, array: Uint8Array, kind: 'boolean' },
  string: { datatype: 'BYTES', bytes: 0, array: undefined, kind: 'text' },
};

/** By ONNX Runtime's name. */
export function elementType(name: string): ElementType {
  const type = TYPES[name];
  if (type === undefined) throw new Error(`Tensors of ${name} are not supported.`);
  return type;
}

export function makeData(type: ElementType, length: number): TensorData {
  return type.array === undefined ? Array.from<string>({ length }).fill('') : new type.array(length);
}

/** A view of little-endian bytes, copied only when they do not lie at a multiple of the element size. */
export function viewBytes(type: ElementType, bytes: Buffer): TensorData {
  if (type.array === undefined) throw new Error('Text tensors have no raw form.');
  const isAligned = bytes.byteOffset % type.bytes === 0;
  const source = isAligned ? bytes : new Uint8Array(bytes);
  return new type.array(source.buffer, source.byteOffset, Math.floor(bytes.length / type.bytes));
}

// Tensors as values: nested lists in and out, stacking the rows of several requests, and cutting results apart again.
import { type ElementType, type TensorData, makeData } from './datatypes.ts';
import { PredictionError } from './handler-api.ts';

export interface TensorValue {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

/** Deeper lists are an attack on the stack, not a tensor. */
export const MAX_RANK = 16;

export const elementCount = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** Parses nested lists, which come from a client. Throws a PredictionError (400) for ragged lists and wrong elements. */
export function fromNested(value: unknown, type: ElementType): TensorValue {
  const dims = dimsOf(value);
  // Checked before anything is allocated: one long row among empty ones would claim far more than the client sent.
  assertRegular(value, dims, 0);
  const data = makeData(type, elementCount(dims));
  let at = 0;
  const fill = (level: unknown, depth: number): void => {
    if (depth === dims.length) at = store(data, at, level, type);
    else for (const inner of level as unknown[]) fill(inner, depth + 1);
  };
  fill(value, 0);
  return { type, dims, data };
}

function assertRegular(level: unknown, dims: readonly number[], depth: number): void {
  if (depth === dims.length) return;
  if (!Array.isArray(level) || level.length !== dims[depth]) throw bad('The lists of a tensor differ in length.');
  if (depth + 1 < dims.length) for (const inner of level) assertRegular(inner, dims, depth + 1);
}

function dimsOf(value: unknown): number[] {
  const dims: number[] = [];
  for (let level = value; Array.isArray(level); level = (level as unknown[])[0]) {
    if (dims.length === MAX_RANK) throw bad(`Lists are nested deeper than ${MAX_RANK} levels.`);
    dims.push(level.length);
    if (level.length === 0) break;
  }
  return dims;
}

function store(data: TensorData, at: number, element: unknown, type: ElementType): number {
  switch (type.kind) {
    case 'float':
      if (typeof element !== 'number') throw wrongElement(element, type);
      (data as Float32Array)[at] = element;
      break;
    case 'integer':
      (data as Int32Array)[at] = element as number;
      if ((data as Int32Array)[at] !== element) throw wrongElement(element, type);
      break;
    case 'bigint':
      if (!Number.isSafeInteger(element)) throw wrongElement(element, type);
      (data as BigInt64Array)[at] = BigInt(element as number);
      if (Number((data as BigInt64Array)[at]) !== element) throw wrongElement(element, type);
      break;
    case 'boolean':
      if (typeof element !== 'boolean' && element !== 0 && element !== 1) throw wrongElement(element, type);
      (data as Uint8Array)[at] = Number(element);
      break;
    case 'text':
      if (typeof element !== 'string') throw wrongElement(element, type);
      data[at] = element;
      break;
    case 'half':
      throw bad('FP16 has no JSON form here: send the tensor as application/octet-stream.');
  }
  return at + 1;
}

/** `[2, 3]` of six numbers becomes two lists of three. 64-bit integers become numbers. */
export function toNested({ type, dims, data }: TensorValue): unknown {
  const read = (at: number): unknown => {
    const element = data[at];
    if (type.kind === 'bigint') return Number(element);
    if (type.kind === 'half') return halfToNumber(element as number);
    return type.kind === 'boolean' ? element === 1 : element;
  };
  const isPlain = type.kind === 'float' || type.kind === 'integer' || type.kind === 'text';
  const build = (depth: number, from: number, count: number): unknown => {
    if (depth === dims.length) return read(from);
    const length = dims[depth]!;
    if (depth === dims.length - 1 && isPlain) return Array.from(data.slice(from, from + length) as ArrayLike<unknown>);
    const step = count / length;
    return Array.from({ length }, (_, index) => build(depth + 1, from + index * step, step));
  };
  return build(0, 0, elementCount(dims));
}

/** Rows `from` to `from + rows` along the first axis. Shares the data. */
export function sliceRows({ type, dims, data }: TensorValue, from: number, rows: number): TensorValue {
  const step = elementCount(dims.slice(1));
  const part = Array.isArray(data)
    ? data.slice(from * step, (from + rows) * step)
    : data.subarray(from * step, (from + rows) * step);
  return { type, dims: [rows, ...dims.slice(1)], data: part };
}

/** Joins along the first axis. All must agree on the other dimensions. One tensor is passed through without a copy. */
export function stackRows(tensors: readonly TensorValue[]): TensorValue {
  const [first] = tensors as [TensorValue];
  if (tensors.length === 1) return first;
  const rows = tensors.reduce((sum, tensor) => sum + tensor.dims[0]!, 0);
  const dims = [rows, ...first.dims.slice(1)];
  if (Array.isArray(first.data))
    return { type: first.type, dims, data: tensors.flatMap(({ data }) => data as string[]) };
  const data = makeData(first.type, elementCount(dims)) as Float32Array;
  let at = 0;
  for (const tensor of tensors) {
    data.set(tensor.data as Float32Array, at);
    at += tensor.data.length;
  }
  return { type: first.type, dims, data };
}

/** IEEE 754 binary16, given as its bits. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bad(message: string): PredictionError {
  return new PredictionError(message, 400);
}

function wrongElement(element: unknown, type: ElementType): PredictionError {
  const shown = typeof element === 'object' ? 'A list, an object or null' : String(element).slice(0, 40);
  return bad(`${shown} is not an element of a ${type.datatype} tensor.`);
}

// What a model's inputs and outputs look like, and how a client's tensor becomes rows of it.
import { type ElementType, elementType } from './datatypes.ts';
import { PredictionError } from './handler-api.ts';
import type { TensorMetadata } from './protocol.ts';
import { type TensorValue, elementCount } from './tensors.ts';

export interface Port {
  readonly name: string;
  readonly type: ElementType;
  /** -1 where the dimension is free. */
  readonly shape: readonly number[];
}

export interface Signature {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /**
   * `stack`: the first axis of every input is free, so rows of several requests share one run.
   * `single`: the first axis is 1, one run for each row. `whole`: there is no batch axis; a request is one tensor.
   */
  readonly batching: 'stack' | 'single' | 'whole';
}

interface RawMetadata {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

export function readSignature(inputs: readonly RawMetadata[], outputs: readonly RawMetadata[]): Signature {
  const ports = inputs.map(toPort);
  const everyFirst = (dim: number): boolean => ports.every(({ shape }) => shape[0] === dim);
  const batching = everyFirst(-1) ? 'stack' : everyFirst(1) ? 'single' : 'whole';
  return { inputs: ports, outputs: outputs.map(toPort), batching };
}

export function toMetadata({ name, type, shape }: Port): TensorMetadata {
  return { name, datatype: type.datatype, shape };
}

function toPort({ name, isTensor, type, shape }: RawMetadata): Port {
  if (!isTensor || type === undefined || shape === undefined) throw new Error(`${name} is not a tensor.`);
  return { name, type: elementType(type), shape: shape.map((dim) => (typeof dim === 'number' ? dim : -1)) };
}

export interface Rows {
  readonly tensor: TensorValue;
  /** The client sent one sample without a batch axis and gets its answer back the same way. */
  readonly isSingle: boolean;
}

/**
 * Fits a client's tensor to an input. A sample without batch axis, or with the right number of elements in another
 * shape, becomes one row. Throws a PredictionError (400) that names both shapes.
 */
export function fitRows(tensor: TensorValue, port: Port, signature: Signature): Rows {
  if (fits(tensor.dims, port.shape, signature)) return { tensor, isSingle: false };
  if (signature.batching !== 'whole') {
    const oneRow = [1, ...tensor.dims];
    if (fits(oneRow, port.shape, signature)) return { tensor: { ...tensor, dims: oneRow }, isSingle: true };
    const rowShape = port.shape.slice(1);
    const isFixed = rowShape.every((dim) => dim >= 0);
    if (isFixed && tensor.data.length === elementCount(rowShape)) {
      return { tensor: { ...tensor, dims: [1, ...rowShape] }, isSingle: true };
    }
  }
  const wanted = port.shape.map((dim) => (dim < 0 ? '?' : dim)).join(', ');
  throw new PredictionError(
    `Input ${port.name} has shape [${tensor.dims.join(', ')}]; the model takes [${wanted}].`,
    400,
  );
}

function fits(dims: readonly number[], shape: readonly number[], { batching }: Signature): boolean {
  if (dims.length !== shape.length || tensorIsEmpty(dims)) return false;
  return dims.every((dim, axis) => shape[axis]! < 0 || dim === shape[axis] || (axis === 0 && batching === 'single'));
}

function tensorIsEmpty(dims: readonly number[]): boolean {
  return dims.includes(0);
}

/** The shape that `bytes` of raw data have for this input. One free axis besides the batch is inferred. */
export function rawDims(bytes: number, { name, type, shape }: Port, { batching }: Signature): number[] {
  const free = shape.flatMap((dim, axis) => (dim < 0 || (axis === 0 && batching === 'single') ? [axis] : []));
  const unknown = free.length === 2 && free[0] === 0 ? free[1] : free[0];
  if (type.bytes > 0 && free.length <= 2 && (free.length < 2 || free[0] === 0)) {
    const known = elementCount(shape.filter((_, axis) => !free.includes(axis)));
    const count = bytes / (known * type.bytes);
    if (Number.isInteger(count) && count > 0 && (free.length > 0 || count === 1)) {
      return shape.map((dim, axis) => (axis === unknown ? count : free.includes(axis) ? 1 : dim));
    }
  }
  throw new PredictionError(`${bytes} bytes are no whole number of rows for input ${name} (${type.datatype}).`, 400);
}

// A vetted torch checkpoint as safetensors, so that no unpickler runs at all: names, shapes and bytes, nothing else.
import { Fault } from '../../kernel/index.ts';
import { readRange, type RandomAccess } from '../random-access.ts';
import { readZipIndex } from '../zip-index.ts';
import type { Checkpoint, Storages } from './checkpoint.ts';
import { dtypeBits } from './pickle/globals.ts';
import type { TensorValue, Value } from './pickle/values.ts';
import { inspectPickleFile } from './raw-pickle.ts';
import { Refusal } from './refusal.ts';
import { Report } from './report.ts';
import { sniff } from './sniff.ts';
import { inspectTorchZip, TORCH_LIMITS } from './torch-zip.ts';

export interface Conversion {
  /** Length and header, ready to be written. */
  readonly head: Buffer;
  /** Bytes of all tensors, in the header's order. */
  data(): AsyncGenerator<Uint8Array>;
  readonly tensors: number;
  /** Total bytes of the tensors. */
  readonly byteLength: number;
  /** Paths of values that are no tensors and therefore do not travel. */
  readonly dropped: readonly string[];
}

const DTYPES: Readonly<Record<string, string>> = {
  float64: 'F64', float32: 'F32', float16: 'F16', bfloat16: 'BF16', int64: 'I64', int32: 'I32', int16: 'I16', int8: 'I8',
  uint64: 'U64', uint32: 'U32', uint16: 'U16', uint8: 'U8', bool: 'BOOL', complex64: 'C64', float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2', float8_e8m0fnu: 'F8_E8M0', float8_e4m3fnuz: 'F8_E4M3FNUZ', float8_e5m2fnuz: 'F8_E5M2FNUZ',
}; // prettier-ignore

/** Inspects the checkpoint and lays out its tensors. Throws `archive_refused` for what cannot be converted. */
export async function planConversion(file: RandomAccess): Promise<Conversion> {
  const checkpoint = await readCheckpoint(file).catch((thrown: unknown) => {
    throw thrown instanceof Refusal ? refuse(`${thrown.code}: ${thrown.message}`) : thrown;
  });
  if (checkpoint === null) throw refuse('The file is no torch checkpoint.');
  if (!checkpoint.storages.isLittleEndian) throw refuse('The checkpoint is big-endian.');
  const { tensors, dropped } = flatten(checkpoint.value);
  if (tensors.size === 0) throw refuse('The checkpoint holds no tensors.');
  const { head, byteLength } = layOut(tensors);
  return { head, byteLength, tensors: tensors.size, dropped, data: () => bytesOf(tensors, checkpoint.storages) };
}

async function readCheckpoint(file: RandomAccess): Promise<Checkpoint | null> {
  const { format, hasZipTail } = await sniff(file);
  if (hasZipTail) throw new Refusal('polyglot', 'A zip archive ends in this file.');
  const report = new Report('');
  if (format === 'zip') return inspectTorchZip(file, await readZipIndex(file, TORCH_LIMITS), report);
  return format === 'pickle' ? inspectPickleFile(file, report) : null;
}

/** Deeper containers than any training checkpoint has; a list that holds itself ends here. */
const MAX_DEPTH = 16;
const MAX_DROPPED = 1000;
/** Shared containers are visited once for each path that leads to them. */
const MAX_VISITS = 10_000_000;

/** Tensors by their path through dicts, lists and tuples, joined with dots, as state dicts name them. */
function flatten(root: Value): { tensors: Map<string, TensorValue>; dropped: string[] } {
  const tensors = new Map<string, TensorValue>();
  const dropped: string[] = [];
  let visits = 0;
  const visit = (value: Value, path: string, depth: number): void => {
    if (depth > MAX_DEPTH || ++visits > MAX_VISITS) throw refuse('The checkpoint nests too deep.');
    if (value.kind === 'tensor') {
      if (tensors.has(path)) throw refuse(`Two tensors are called ${path}.`);
      tensors.set(path, value);
    } else if (value.kind === 'dict') {
      value.keys.forEach((key, i) => visit(value.values[i] as Value, join(path, nameOf(key)), depth + 1));
    } else if (value.kind === 'list' || value.kind === 'tuple') {
      value.items.forEach((item, i) => visit(item, join(path, String(i)), depth + 1));
    } else if (dropped.length < MAX_DROPPED) dropped.push(path);
  };
  visit(root, '', 0);
  return { tensors, dropped };
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function nameOf(key: Value): string {
  if (key.kind === 'str') return key.text;
  if (key.kind === 'int') return String(key.value);
  throw refuse(`A ${key.kind} cannot name a tensor.`);
}

const ALIGNMENT = 8;

function layOut(tensors: ReadonlyMap<string, TensorValue>): { head: Buffer; byteLength: number } {
  const entries: [string, object][] = [];
  let at = 0;
  for (const [name, tensor] of tensors) {
    const dtype = DTYPES[tensor.dtype];
    if (tensor.layout !== 'strided' || tensor.storage === null || dtype === undefined) {
      throw refuse(`The tensor ${name} (${tensor.dtype}, ${tensor.layout}) has no place in safetensors.`);
    }
    const end = at + elements(tensor) * width(tensor);
    if (!Number.isSafeInteger(end)) throw refuse(`The tensor ${name} is too large.`);
    entries.push([name, { dtype, shape: tensor.size, data_offsets: [at, end] }]);
    at = end;
  }
  // Written entry by entry: as keys of an object, names like `__proto__` or `1` would vanish or change places.
  const text = `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`;
  const byteCount = Buffer.byteLength(text);
  const padded = Buffer.alloc(Math.ceil(byteCount / ALIGNMENT) * ALIGNMENT, ' ');
  padded.write(text);
  const length = Buffer.alloc(ALIGNMENT);
  length.writeBigUInt64LE(BigInt(padded.length));
  return { head: Buffer.concat([length, padded]), byteLength: at };
}

async function* bytesOf(tensors: ReadonlyMap<string, TensorValue>, storages: Storages): AsyncGenerator<Uint8Array> {
  for (const tensor of tensors.values()) {
    if (tensor.storage === null || elements(tensor) === 0) continue;
    const storage = await storages.open(tensor.storage);
    const start = tensor.storageOffset * width(tensor);
    if (isContiguous(tensor)) yield* readRange(storage, start, elements(tensor) * width(tensor));
    else yield* gather(tensor, await storage.read(0, storage.size));
  }
}

/** A view that expands (stride 0) can promise far more than its storage holds. */
const MAX_GATHERED_BYTES = 4 * 1024 * 1024 * 1024;
const GATHER_ELEMENTS = 64 * 1024;

/** Elements of a transposed, sliced or expanded view, in row order. */
function* gather({ size, stride, storageOffset, ...tensor }: TensorValue, source: Uint8Array): Generator<Uint8Array> {
  const bytes = width(tensor);
  const total = elements({ size });
  if (total * bytes > MAX_GATHERED_BYTES) throw refuse('A view is larger than 4 GiB.');
  const index = size.map(() => 0);
  for (let done = 0; done < total; done += GATHER_ELEMENTS) {
    const piece = Buffer.alloc(Math.min(GATHER_ELEMENTS, total - done) * bytes);
    for (let at = 0; at < piece.length; at += bytes) {
      const from =
        index.reduce((sum, position, dim) => sum + position * (stride[dim] as number), storageOffset) * bytes;
      piece.set(source.subarray(from, from + bytes), at);
      advance(index, size);
    }
    yield piece;
  }
}

function advance(index: number[], size: readonly number[]): void {
  for (let dim = size.length - 1; dim >= 0; dim--) {
    const next = (index[dim] as number) + 1;
    index[dim] = next === size[dim] ? 0 : next;
    if (index[dim] !== 0) return;
  }
}

function isContiguous({ size, stride }: TensorValue): boolean {
  let expected = 1;
  for (let dim = size.length - 1; dim >= 0; dim--) {
    if (size[dim] !== 1 && stride[dim] !== expected) return false;
    expected *= size[dim] as number;
  }
  return true;
}

function elements({ size }: Pick<TensorValue, 'size'>): number {
  return size.reduce((product, count) => product * count, 1);
}

function width({ dtype }: Pick<TensorValue, 'dtype'>): number {
  return (dtypeBits(dtype) ?? 8) / 8;
}

function refuse(message: string): Fault {
  return new Fault('archive_refused', message);
}

// The GGUF format, versions 2 and 3: counted metadata and tensor descriptions, then aligned tensor data inside the file.
import type { RandomAccess } from '../random-access.ts';
import { Refusal } from './refusal.ts';
import type { Report } from './report.ts';
import { noteTemplate } from './text-checks.ts';
import { Window } from './window.ts';

export const GGUF_MAGIC = Buffer.from('GGUF', 'latin1');
const MAX_STRING_BYTES = 16 * 1024 * 1024;
/** llama.cpp's own limits for names and dimensions. */
const MAX_NAME_BYTES = 64 * 1024;
const MAX_DIMENSIONS = 4;
const MAX_ARRAY_DEPTH = 4;
/** Texts or arrays in one array; the largest vocabularies have a few hundred thousand. */
const MAX_NESTED_ITEMS = 16_000_000;
const DEFAULT_ALIGNMENT = 32;
/** Smallest metadata entry: key length, one character, type, one byte. Bounds the count by the file. */
const MIN_ENTRY_BYTES = 14;
/** Smallest tensor description: name length, dimension count, type, offset. */
const MIN_TENSOR_BYTES = 24;

const STRING_TYPE = 8;
const ARRAY_TYPE = 9;
/** Bytes of each scalar value type, by number; 8 and 9 are strings and arrays. */
const SCALAR_BYTES: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];

/** ggml tensor types: [elements per block, bytes per block]. */
const BLOCKS: Readonly<Record<number, readonly [number, number]>> = {
  0: [1, 4], 1: [1, 2], 2: [32, 18], 3: [32, 20], 6: [32, 22], 7: [32, 24], 8: [32, 34], 9: [32, 36],
  10: [256, 84], 11: [256, 110], 12: [256, 144], 13: [256, 176], 14: [256, 210], 15: [256, 292],
  16: [256, 66], 17: [256, 74], 18: [256, 98], 19: [256, 50], 20: [32, 18], 21: [256, 110], 22: [256, 82],
  23: [256, 136], 24: [1, 1], 25: [1, 2], 26: [1, 4], 27: [1, 8], 28: [1, 8], 29: [256, 56], 30: [1, 2],
  34: [256, 54], 35: [256, 66], 39: [32, 17],
}; // prettier-ignore

export async function inspectGguf(file: RandomAccess, report: Report): Promise<void> {
  const reader = new Window(file, 'gguf_malformed');
  await reader.ensure(24);
  reader.skip(4);
  const version = reader.u32();
  if (version !== 2 && version !== 3) throw reader.refusal(`The version ${version} is unknown.`);
  const tensors = count(reader, MIN_TENSOR_BYTES);
  const entries = count(reader, MIN_ENTRY_BYTES);
  const alignment = await readMetadata(reader, entries, report);
  const ranges = await readTensors(reader, tensors, alignment);
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  checkRanges(ranges, file.size - dataStart, alignment, reader);
}

/** A u64 count of things that take at least `minBytes` each. */
function count(reader: Window, minBytes: number): number {
  const value = reader.u64();
  if (value * BigInt(minBytes) > BigInt(reader.remaining)) throw reader.refusal('A count is larger than the file.');
  return Number(value);
}

async function readMetadata(reader: Window, entries: number, report: Report): Promise<number> {
  const keys = new Set<string>();
  let alignment = DEFAULT_ALIGNMENT;
  for (let i = 0; i < entries; i++) {
    const key = await readString(reader, MAX_NAME_BYTES);
    if (keys.has(key)) throw reader.refusal(`The key ${key} appears twice.`);
    keys.add(key);
    await reader.ensure(8);
    const type = reader.u32();
    if (key === 'general.alignment') alignment = readAlignment(reader, type);
    else if (key.startsWith('tokenizer.chat_template') && type === STRING_TYPE) {
      noteTemplate(await readString(reader, MAX_STRING_BYTES), report);
    } else await skipValue(reader, type, 0);
  }
  return alignment;
}

function readAlignment(reader: Window, type: number): number {
  const value = type === 4 ? reader.u32() : 0;
  const isPowerOfTwo = value > 0 && (value & (value - 1)) === 0;
  if (!isPowerOfTwo || value > 1 << 20) throw reader.refusal('The alignment is no power of two.');
  return value;
}

async function skipValue(reader: Window, type: number, depth: number): Promise<void> {
  const scalar = SCALAR_BYTES[type];
  if (scalar !== undefined) return reader.skip(scalar);
  if (type === STRING_TYPE) return skipString(reader);
  if (type !== ARRAY_TYPE) throw reader.refusal(`The value type ${type} is unknown.`);
  if (depth >= MAX_ARRAY_DEPTH) throw reader.refusal('Arrays nest too deep.');
  await reader.ensure(12);
  const itemType = reader.u32();
  const itemBytes = SCALAR_BYTES[itemType];
  const items = count(reader, itemBytes ?? 8);
  if (itemBytes !== undefined) return reader.skip(items * itemBytes);
  if (items > MAX_NESTED_ITEMS) throw reader.refusal('An array is too long.');
  for (let i = 0; i < items; i++) await skipValue(reader, itemType, depth + 1);
}

async function skipString(reader: Window): Promise<void> {
  if (!reader.isReady(8)) await reader.ensure(8);
  reader.skip(count(reader, 1));
}

async function readString(reader: Window, maxBytes: number): Promise<string> {
  await reader.ensure(8);
  const length = count(reader, 1);
  if (length > maxBytes) throw reader.refusal('A text is too long.');
  await reader.ensure(length);
  return Buffer.from(reader.bytes(length)).toString('utf8');
}

/** Byte ranges of all tensors, from the start of the data. */
async function readTensors(reader: Window, tensors: number, alignment: number): Promise<[number, number][]> {
  const names = new Set<string>();
  const ranges: [number, number][] = [];
  for (let i = 0; i < tensors; i++) {
    const name = await readString(reader, MAX_NAME_BYTES);
    if (names.has(name)) throw reader.refusal(`The tensor ${name} appears twice.`);
    names.add(name);
    await reader.ensure(4 + MAX_DIMENSIONS * 8 + 12);
    const dimensions = reader.u32();
    if (dimensions > MAX_DIMENSIONS) throw reader.refusal('A tensor has too many dimensions.');
    const shape = Array.from({ length: dimensions }, () => reader.u64());
    const block = BLOCKS[reader.u32()];
    const offset = reader.u64();
    if (block === undefined) throw reader.refusal('A tensor type is unknown.');
    const elements = shape.reduce((product, dimension) => product * dimension, 1n);
    if ((shape[0] ?? 1n) % BigInt(block[0]) !== 0n) throw reader.refusal('A tensor row is no whole number of blocks.');
    const end = offset + (elements / BigInt(block[0])) * BigInt(block[1]);
    if (offset % BigInt(alignment) !== 0n) throw reader.refusal('A tensor is not aligned.');
    if (end > BigInt(Number.MAX_SAFE_INTEGER)) throw reader.refusal('A tensor is larger than any file.');
    ranges.push([Number(offset), Number(end)]);
  }
  return ranges;
}

function checkRanges(ranges: [number, number][], available: number, alignment: number, reader: Window): void {
  ranges.sort(([a], [b]) => a - b);
  let at = 0;
  for (const [start, end] of ranges) {
    if (start < at) throw reader.refusal('Two tensors overlap.');
    if (start - at >= alignment) throw reader.refusal('Bytes lie between two tensors.');
    if (end > available) throw new Refusal('gguf_malformed', 'A tensor reaches past the end of the file.');
    at = end;
  }
  if (available - at >= alignment) throw reader.refusal('Something follows the last tensor.');
}

// The safetensors format: a length, a JSON header, and one buffer that the tensors must fill without hole or overlap.
import type { RandomAccess } from '../random-access.ts';
import { Refusal } from './refusal.ts';
import { parseStrictJson, type Json, type JsonObject } from './strict-json.ts';

const LENGTH_BYTES = 8;
/** The reference implementation's own cap. */
export const MAX_HEADER_BYTES = 100_000_000;
const MAX_DIMENSIONS = 64;

const DTYPE_BITS: Readonly<Record<string, number>> = {
  BOOL: 8, U8: 8, I8: 8, F8_E4M3: 8, F8_E5M2: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8,
  F4: 4, F6_E2M3: 6, F6_E3M2: 6,
  I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, F64: 64, I64: 64, U64: 64, C64: 64,
}; // prettier-ignore

const refuse = (message: string): never => {
  throw new Refusal('safetensors_malformed', message);
};

/** Checks the whole header. The buffer itself is plain numbers and is not read. */
export async function inspectSafetensors(file: RandomAccess): Promise<void> {
  if (file.size < LENGTH_BYTES) refuse('The file is too short.');
  const prefix = await file.read(0, LENGTH_BYTES);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(Math.min(MAX_HEADER_BYTES, file.size - LENGTH_BYTES)))
    refuse('The header is longer than the file.');
  const header = parseHeader(await file.read(LENGTH_BYTES, Number(length)));
  const bufferBytes = file.size - LENGTH_BYTES - Number(length);
  const ranges: [number, number][] = [];
  for (const [name, entry] of header) {
    if (name === '__metadata__') checkMetadata(entry);
    else ranges.push(checkTensor(name, entry));
  }
  ranges.sort(([a, aEnd], [b, bEnd]) => a - b || aEnd - bEnd);
  let at = 0;
  for (const [start, end] of ranges) {
    if (start !== at) refuse(start < at ? 'Two tensors overlap.' : 'Bytes lie between two tensors.');
    at = end;
  }
  if (at !== bufferBytes) refuse('The tensors do not cover the file to its end.');
}

function parseHeader(bytes: Uint8Array): JsonObject {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse('The header is not UTF-8.');
  }
  if (!text.startsWith('{')) refuse('The header does not start with a brace.');
  // By hand: the expression / +$/ takes quadratic time on spaces that are not at the end.
  let end = text.length;
  while (text[end - 1] === ' ') end--;
  const trimmed = text.slice(0, end);
  if (!trimmed.endsWith('}')) refuse('The header is padded with something else than spaces.');
  const header = parseStrictJson(trimmed, 'safetensors_malformed', 'counts');
  return header instanceof Map ? header : refuse('The header is no object.');
}

function checkMetadata(metadata: Json): void {
  const isPlain = metadata instanceof Map && [...metadata.values()].every((value) => typeof value === 'string');
  if (!isPlain) refuse('The metadata is not a map of strings.');
}

/** The tensor's byte range in the buffer. */
function checkTensor(name: string, entry: Json): [number, number] {
  const no = (why: string) => refuse(`The tensor ${name} ${why}.`);
  if (!(entry instanceof Map) || entry.size !== 3) return no('has unknown or missing fields');
  const dtype = entry.get('dtype');
  const bits = typeof dtype === 'string' && Object.hasOwn(DTYPE_BITS, dtype) ? DTYPE_BITS[dtype] : undefined;
  const shape = counts(entry.get('shape'));
  const offsets = counts(entry.get('data_offsets'));
  const [start, end] = offsets ?? [];
  if (bits === undefined) return no('has an unknown type');
  if (shape === undefined || shape.length > MAX_DIMENSIONS) return no('has a malformed shape');
  if (start === undefined || end === undefined || offsets?.length !== 2 || end < start)
    return no('has malformed offsets');
  const totalBits = shape.reduce((product, count) => product * BigInt(count), BigInt(bits));
  if (totalBits % 8n !== 0n || totalBits / 8n !== BigInt(end - start))
    return no('has another size than its shape needs');
  return [start, end];
}

function counts(value: Json | undefined): number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0) ? (value as number[]) : undefined;
}

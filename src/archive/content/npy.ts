// NumPy's .npy format: a header that is a Python literal, read by our own grammar, and exactly as many bytes as it declares.
import type { RandomAccess } from '../random-access.ts';
import { parsePythonLiteral, type Literal } from './python-literal.ts';
import { Refusal } from './refusal.ts';

export const NPY_MAGIC = Buffer.from('\x93NUMPY', 'latin1');
/** NumPy's own limit for headers it reads without being told to trust them. */
const MAX_HEADER_BYTES = 10_000;
const MAX_DIMENSIONS = 64;
const MAX_FIELD_DEPTH = 8;

const malformed = (message: string): never => {
  throw new Refusal('npy_malformed', message);
};

export async function inspectNpy(file: RandomAccess): Promise<void> {
  const head = Buffer.from(await file.read(0, 12 + MAX_HEADER_BYTES));
  if (!head.subarray(0, 6).equals(NPY_MAGIC)) malformed('The magic number is missing.');
  const [major, minor] = [head[6], head[7]];
  if (minor !== 0 || major === undefined || major < 1 || major > 3 || head.length < 12)
    malformed('The version is unknown.');
  const headerStart = major === 1 ? 10 : 12;
  const headerBytes = major === 1 ? head.readUInt16LE(8) : head.readUInt32LE(8);
  if (headerBytes > MAX_HEADER_BYTES || headerStart + headerBytes > head.length) malformed('The header is too long.');
  const text = head.toString(major === 3 ? 'utf8' : 'latin1', headerStart, headerStart + headerBytes);
  const header = parsePythonLiteral(text, 'npy_malformed');
  if (!(header instanceof Map) || header.size !== 3) return malformed('The header is not the dict NumPy writes.');
  if (typeof header.get('fortran_order') !== 'boolean') malformed('fortran_order is no bool.');
  const elements = shapeOf(header.get('shape')).reduce((product, count) => product * count, 1n);
  const bytes = elements * BigInt(itemBytes(header.get('descr'), 0));
  if (BigInt(file.size - headerStart - headerBytes) !== bytes) malformed('The data has another length than declared.');
}

function shapeOf(value: Literal | undefined): bigint[] {
  if (!Array.isArray(value) || value.length > MAX_DIMENSIONS) return malformed('The shape is no tuple.');
  return value.map((item) =>
    typeof item === 'bigint' && item >= 0n ? item : malformed('The shape has a bad dimension.'),
  );
}

const SIMPLE_TYPE = /^[<>|=]?([?bBhHiIlLqQefdgFDGiubfcmMSaUVO])(\d{1,9})?(\[\d{0,9}[a-zA-Zμ]{1,3}(?:\/\d{1,9})?\])?$/u;

/** Bytes of one item of a dtype description: a type string, or a list of fields. */
function itemBytes(descr: Literal | undefined, depth: number): number {
  if (depth > MAX_FIELD_DEPTH) return malformed('The fields nest too deep.');
  if (typeof descr === 'string') return simpleBytes(descr);
  if (!Array.isArray(descr)) return malformed('The type description is malformed.');
  if (descr.length === 2 && !Array.isArray(descr[0])) return subarrayBytes(descr, depth);
  let total = 0;
  for (const field of descr) {
    if (!Array.isArray(field) || field.length < 2 || field.length > 3) return malformed('A field is malformed.');
    const count = field.length === 3 ? product(field[2]) : 1;
    total += itemBytes(field[1], depth + 1) * count;
    if (!Number.isSafeInteger(total)) return malformed('The item is too large.');
  }
  return total;
}

function subarrayBytes([base, shape]: readonly Literal[], depth: number): number {
  return itemBytes(base, depth + 1) * product(shape);
}

function product(shape: Literal | undefined): number {
  const dims = Array.isArray(shape) ? shapeOf(shape) : shapeOf(shape === undefined ? undefined : [shape]);
  const total = Number(dims.reduce((result, count) => result * count, 1n));
  return Number.isSafeInteger(total) ? total : malformed('A field is too large.');
}

function simpleBytes(descr: string): number {
  const found = SIMPLE_TYPE.exec(descr);
  if (found === null) return malformed(`The type ${descr} is unknown.`);
  const [, kind, width] = found;
  if (kind === 'O') throw new Refusal('npy_object_array', 'The array holds Python objects.');
  if (width === undefined) return kind === '?' ? 1 : malformed(`The type ${descr} has no width.`);
  return Number(width) * (kind === 'U' ? 4 : 1);
}

// The numbers of a tensor, typed or raw, as JSON text: one at a time, so that millions of them need not be there at once.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { Fault } from '../kernel/index.ts';
import { unreadable } from './method.ts';

type Datatype = 'BOOL' | `${'INT' | 'UINT'}${8 | 16 | 32 | 64}` | `FP${16 | 32 | 64}` | 'BYTES';

/** What a list of `InferTensorContents` holds of a datatype: its field, the wire type of one element, and how that is read. */
interface Typed {
  readonly field: number;
  readonly type: WireType;
  readonly read: (from: BinaryReader) => Element;
}

type Element = boolean | number | bigint | string | Uint8Array;

const BOOLS: Typed = { field: 1, type: WireType.Varint, read: (from) => from.bool() };
const INTS: Typed = { field: 2, type: WireType.Varint, read: (from) => from.int32() };
const INTS_64: Typed = { field: 3, type: WireType.Varint, read: (from) => from.int64() };
const UINTS: Typed = { field: 4, type: WireType.Varint, read: (from) => from.uint32() };
const UINTS_64: Typed = { field: 5, type: WireType.Varint, read: (from) => from.uint64() };
const FLOATS: Typed = { field: 6, type: WireType.Bit32, read: (from) => from.float() };
const DOUBLES: Typed = { field: 7, type: WireType.Bit64, read: (from) => from.double() };
const BYTES: Typed = { field: 8, type: WireType.LengthDelimited, read: (from) => from.bytes() };

const TYPED: Readonly<Record<Datatype, Typed>> = {
  BOOL: BOOLS,
  INT8: INTS,
  INT16: INTS,
  INT32: INTS,
  INT64: INTS_64,
  UINT8: UINTS,
  UINT16: UINTS,
  UINT32: UINTS,
  UINT64: UINTS_64,
  FP16: FLOATS,
  FP32: FLOATS,
  FP64: DOUBLES,
  BYTES,
};

/**
 * The elements of `InferTensorContents` as JSON, one at a time, from their bytes; undefined for a field that is none. Throws
 * Fault `bad_request` for an unknown datatype, UnreadableMessage for bytes that are no such message.
 */
export function* typedElements(datatype: string, contents: readonly Uint8Array[]): Generator<string | undefined> {
  const { field, type, read } = TYPED[knownType(datatype)];
  try {
    for (const bytes of contents) {
      const reader = new BinaryReader(bytes);
      while (reader.pos < reader.len) {
        const [number, found] = reader.tag();
        if (number === field && found === type) {
          yield elementJson(read(reader));
          continue;
        }
        const skipped = reader.skip(found, number);
        if (number === field && found === WireType.LengthDelimited) yield* packedElements(skipped, read);
        yield undefined;
      }
    }
  } catch (thrown) {
    throw unreadable(thrown);
  }
}

/** `field` is a length and so many bytes of elements, one behind the other. */
function* packedElements(field: Uint8Array, read: Typed['read']): Generator<string> {
  const reader = new BinaryReader(new BinaryReader(field).bytes());
  while (reader.pos < reader.len) yield elementJson(read(reader));
}

/** BYTES elements travel as base64, because JSON has no bytes; 64-bit integers keep all their digits. */
function elementJson(value: Element): string {
  return value instanceof Uint8Array ? `"${Buffer.from(value).toString('base64')}"` : numberJson(value);
}

/** Python's JSON reader takes NaN and Infinity, which JavaScript's writer would turn into null. */
const numberJson = (value: Exclude<Element, Uint8Array>): string => String(value);

/** Little-endian elements without gaps; BYTES elements each behind their length in four bytes. */
export function* rawElements(datatype: string, raw: Uint8Array): Generator<string> {
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

function knownType(datatype: string): Datatype {
  if (Object.hasOwn(TYPED, datatype)) return datatype as Datatype;
  throw new Fault('bad_request', `Datatype "${datatype.slice(0, 32)}" is not one of ${Object.keys(TYPED).join(', ')}.`);
}

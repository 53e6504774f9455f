// A message of millions of tiny fields: two bytes each on the wire, hundreds in memory, and seconds of decoding in between.
import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** Fields in one message, those of messages inside included. Large tensors are single fields. */
export const MAX_ENTRIES = 100_000;
/** Packed 64-bit numbers become objects one by one; so many bytes of them count for a field. */
const PACKED_BYTES_PER_ENTRY = 32;

/** False where decoding `message` would cost far more than its bytes. Throws for bytes that are no message. */
export function hasFewEntries(schema: DescMessage, message: Uint8Array): boolean {
  return entriesLeft(schema, message, MAX_ENTRIES) >= 0;
}

function entriesLeft(schema: DescMessage, message: Uint8Array, limit: number): number {
  const reader = new BinaryReader(message);
  let left = limit;
  while (reader.pos < reader.len && left >= 0) {
    const [number, type] = reader.tag();
    left -= 1;
    const field = type === WireType.LengthDelimited ? fieldOf(schema, number) : undefined;
    if (field === undefined) {
      reader.skip(type, number);
      continue;
    }
    const bytes = reader.bytes();
    if (field.message !== undefined) left = entriesLeft(field.message, bytes, left);
    else if (isListOfObjects(field)) left -= Math.floor(bytes.length / PACKED_BYTES_PER_ENTRY);
  }
  return left;
}

const fieldOf = (schema: DescMessage, number: number): DescField | undefined =>
  schema.fields.find((field) => field.number === number);

const OBJECTS: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);

const isListOfObjects = (field: DescField): boolean =>
  field.fieldKind === 'list' && field.listKind === 'scalar' && OBJECTS.has(field.scalar);

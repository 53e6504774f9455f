// A message of millions of tiny fields: two bytes each on the wire, hundreds in memory, and seconds of decoding in between.
import type { DescMessage } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** Fields in one message, those of messages inside included. */
export const MAX_ENTRIES = 100_000;

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
    const inner = type === WireType.LengthDelimited ? messageOf(schema, number) : undefined;
    if (inner === undefined) {
      reader.skip(type, number);
      continue;
    }
    left = entriesLeft(inner, reader.bytes(), left);
  }
  return left;
}

const messageOf = (schema: DescMessage, number: number): DescMessage | undefined =>
  schema.fields.find((field) => field.number === number)?.message;

// Leaves out fields whose wire type is not the declared one. Protobuf calls them unknown, and so do Java, C++ and Python;
// the decoder that we use would take the length of a text for a number, and the text itself for further fields.
import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** The message itself where every field of it is as declared; fields of messages inside are not looked at. Throws for bytes that are no message. */
export function wellTyped(schema: DescMessage, message: Uint8Array): Uint8Array {
  const declared = declaredTypes(schema);
  const reader = new BinaryReader(message);
  // One copy at most, however many fields a hostile message has.
  let kept: Uint8Array | undefined;
  let length = 0;
  let from = 0;
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, type] = reader.tag();
    reader.skip(type, number);
    const wanted = declared.get(number);
    if (wanted === undefined || wanted === type) continue;
    kept ??= new Uint8Array(message.length);
    kept.set(message.subarray(from, start), length);
    length += start - from;
    from = reader.pos;
  }
  if (kept === undefined) return message;
  kept.set(message.subarray(from), length);
  return kept.subarray(0, length + message.length - from);
}

const known = new WeakMap<DescMessage, ReadonlyMap<number, WireType | undefined>>();

/** By field number; worked out once for each kind of message. */
function declaredTypes(schema: DescMessage): ReadonlyMap<number, WireType | undefined> {
  let types = known.get(schema);
  if (types === undefined) {
    types = new Map(schema.fields.map((field) => [field.number, wireTypeOf(field)]));
    known.set(schema, types);
  }
  return types;
}

/** Undefined where more than one is right: numbers of a list may be packed or not. */
function wireTypeOf(field: DescField): WireType | undefined {
  switch (field.fieldKind) {
    case 'scalar':
      return wireTypeOfScalar(field.scalar);
    case 'enum':
      return WireType.Varint;
    case 'message':
      return field.delimitedEncoding ? WireType.StartGroup : WireType.LengthDelimited;
    case 'map':
      return WireType.LengthDelimited;
    case 'list':
      return undefined;
  }
}

function wireTypeOfScalar(type: ScalarType): WireType {
  switch (type) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WireType.LengthDelimited;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return WireType.Bit64;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return WireType.Bit32;
    default:
      return WireType.Varint;
  }
}

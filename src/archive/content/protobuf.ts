// A bounded walk over a protobuf message in a file: nested messages by a stack, payloads skipped, nothing recursive.
import type { RandomAccess } from '../random-access.ts';
import type { FieldType, MessageName } from './onnx-schema.ts';
import { Window } from './window.ts';

/** Depth of honest graphs with subgraphs in loops; protobuf's own default limit is 100. */
const MAX_DEPTH = 64;
const MAX_VARINT_BYTES = 10;
/** The largest graphs have some hundred thousand nodes of ten messages each. */
const MAX_MESSAGES = 20_000_000;
/** Longest text that a visitor gets to see. */
const MAX_TEXT_BYTES = 4096;

/** One message: the scalar and text values of the fields the visitor asked for, and lengths of the byte fields. */
export interface Message {
  readonly name: MessageName;
  readonly parent: Message | undefined;
  /** Its field number in the parent; 0 for the root. */
  readonly field: number;
  numbers: Map<number, number[]> | undefined;
  texts: Map<number, string[]> | undefined;
  /** Which of the `single` fields it has already: bit by field number. */
  singles: number;
  /** Payload lengths of kept text and byte fields, by field number. */
  lengths: Map<number, number> | undefined;
}

export interface Visitor {
  readonly schema: Readonly<Record<MessageName, Readonly<Record<number, FieldType>>>>;
  /** Message fields, below number 32, that may appear once. */
  readonly single: Partial<Readonly<Record<MessageName, readonly number[]>>>;
  /** Fields whose values are kept, by message. Repeated numbers are kept up to a few hundred. */
  readonly kept: Partial<Readonly<Record<MessageName, readonly number[]>>>;
  /** Kept fields of which only the payload's length is of interest. */
  readonly lengthsOnly: Partial<Readonly<Record<MessageName, readonly number[]>>>;
  /** Called when a message is complete, children first. */
  onEnd(message: Message): void;
}

const MAX_KEPT = 512;

interface Frame {
  readonly message: Message;
  readonly end: number;
}

/** Walks the root message that fills the whole file. Refuses unknown fields and wire types. */
export async function walkProtobuf(file: RandomAccess, root: MessageName, visitor: Visitor): Promise<void> {
  const reader = new Window(file, 'onnx_malformed');
  let messages = 0;
  const stack: Frame[] = [{ message: newMessage(root, undefined, 0), end: file.size }];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    if (reader.position === frame.end) {
      visitor.onEnd(frame.message);
      stack.pop();
      continue;
    }
    if (!reader.isReady(2 * MAX_VARINT_BYTES)) await reader.ensure(2 * MAX_VARINT_BYTES);
    const child = readField(reader, frame, visitor);
    if (child === undefined) continue;
    if (typeof child === 'number') await keepText(reader, frame.message, child);
    else if (stack.length >= MAX_DEPTH) throw reader.refusal('Messages nest too deep.');
    else if (++messages > MAX_MESSAGES) throw reader.refusal('There are too many messages.');
    else stack.push(child);
  }
}

/** Reads one field; returns a frame to descend into, or the number of a text field whose payload comes next. */
function readField(reader: Window, frame: Frame, visitor: Visitor): Frame | number | undefined {
  const { message, end } = frame;
  const tag = varint(reader);
  const field = Math.floor(tag / 8);
  const wire = tag % 8;
  const type = visitor.schema[message.name][field];
  if (type === undefined) throw reader.refusal(`The field ${field} of ${message.name} is unknown.`);
  const isKept = visitor.kept[message.name]?.includes(field) === true;
  if (wire === 2) {
    const length = varint(reader);
    if (length > end - reader.position) throw reader.refusal('A field is longer than its message.');
    if (visitor.single[message.name]?.includes(field) === true) {
      if ((message.singles & (1 << field)) !== 0)
        throw reader.refusal(`The field ${field} of ${message.name} appears twice.`);
      message.singles |= 1 << field;
    }
    if (type.length > 1)
      return { message: newMessage(type as MessageName, message, field), end: reader.position + length };
    if (isKept) (message.lengths ??= new Map()).set(field, length);
    if (isKept && type === 's' && !visitor.lengthsOnly[message.name]?.includes(field)) return field;
    if (isKept && type === 'i') keepPacked(reader, message, field, length);
    else reader.skip(length);
    return undefined;
  }
  if (!(wire === 0 && type === 'i') && !(wire === 5 && type === 'f') && !(wire === 1 && type === 'd')) {
    throw reader.refusal(`The field ${field} of ${message.name} has wire type ${wire}.`);
  }
  if (wire === 0) {
    const value = varint(reader);
    if (isKept) keep(message, field, value, reader);
  } else reader.skip(wire === 5 ? 4 : 8);
  if (reader.position > end) throw reader.refusal('A field is longer than its message.');
  return undefined;
}

function newMessage(name: MessageName, parent: Message | undefined, field: number): Message {
  return { name, parent, field, numbers: undefined, texts: undefined, singles: 0, lengths: undefined };
}

function keep(message: Message, field: number, value: number, reader: Window): void {
  const values = (message.numbers ??= new Map()).get(field) ?? [];
  if (values.length >= MAX_KEPT) throw reader.refusal(`The field ${field} of ${message.name} repeats too often.`);
  values.push(value);
  message.numbers.set(field, values);
}

/** Packed numbers are kept only where they are few (dimensions), so they lie inside the buffer or are refused. */
function keepPacked(reader: Window, message: Message, field: number, length: number): void {
  const end = reader.position + length;
  if (length > MAX_KEPT * MAX_VARINT_BYTES || !reader.isReady(length)) {
    throw reader.refusal(`The field ${field} of ${message.name} is too long.`);
  }
  while (reader.position < end) keep(message, field, varint(reader), reader);
  if (reader.position !== end) throw reader.refusal('A packed field is longer than its message.');
}

async function keepText(reader: Window, message: Message, field: number): Promise<void> {
  const length = message.lengths?.get(field) ?? 0;
  if (length > MAX_TEXT_BYTES) throw reader.refusal(`The field ${field} of ${message.name} is too long.`);
  await reader.ensure(length);
  const values = (message.texts ??= new Map()).get(field) ?? [];
  values.push(Buffer.from(reader.bytes(length)).toString('utf8'));
  message.texts.set(field, values);
}

/** Numbers beyond 2^53 lose their low bits, which no check depends on: they only fail bounds. */
function varint(reader: Window): number {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < MAX_VARINT_BYTES; i++) {
    const byte = reader.u8();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
    scale *= 128;
  }
  throw reader.refusal('A number is longer than ten bytes.');
}

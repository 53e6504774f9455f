// Reads PredictionsRequest straight into the parts that the data path wants. By hand, because this is the hot path: bodies
// stay views of the received bytes, and the number of map entries is bounded before any of them costs memory.
import { Fault } from '../kernel/index.ts';
import type { InputPart } from '../serving/index.ts';
import { UnreadableMessage } from './method.ts';
import { Malformed, PieceReader, WIRE } from './piece-reader.ts';
import type { Message } from './transport.ts';

export interface PredictionsInput {
  readonly modelName: string;
  /** Undefined asks for the default version. */
  readonly version: string | undefined;
  /** In the order of the message; of two entries with one name the last counts. */
  readonly parts: readonly InputPart[];
  /** Undefined when the field is absent, which an empty text is not. */
  readonly sequenceId: string | undefined;
}

/** As many as a form may have fields; a handler's input has a handful. */
const MAX_INPUTS = 1000;
const FIELD = { modelName: 1, modelVersion: 2, input: 3, sequenceId: 4 } as const;
const ENTRY = { key: 1, value: 2 } as const;

/** Throws UnreadableMessage, or Fault `bad_request` for too many inputs. */
export function readPredictionsRequest({ pieces, bytes }: Message): PredictionsInput {
  try {
    return read(new PieceReader(pieces, bytes), bytes);
  } catch (thrown) {
    throw thrown instanceof Malformed ? new UnreadableMessage() : thrown;
  }
}

function read(reader: PieceReader, end: number): PredictionsInput {
  let modelName = '';
  let version = '';
  let sequenceId: string | undefined;
  const parts = new Map<string, InputPart>();
  let entries = 0;
  while (reader.position < end) {
    const [field, type] = reader.tag();
    if (type !== WIRE.lengthDelimited) reader.skip(type, end);
    else if (field === FIELD.modelName) modelName = reader.text(reader.length(end));
    else if (field === FIELD.modelVersion) version = reader.text(reader.length(end));
    else if (field === FIELD.sequenceId) sequenceId = reader.text(reader.length(end));
    else if (field === FIELD.input) {
      if (++entries > MAX_INPUTS) throw new Fault('bad_request', `More than ${MAX_INPUTS} inputs in one request.`);
      const part = readEntry(reader, reader.length(end));
      parts.set(part.name, part);
    } else reader.skip(type, end);
  }
  return { modelName, version: version === '' ? undefined : version, parts: [...parts.values()], sequenceId };
}

function readEntry(reader: PieceReader, length: number): InputPart {
  const end = reader.position + length;
  let name = '';
  let chunks: readonly Uint8Array[] = [];
  let bytes = 0;
  while (reader.position < end) {
    const [field, type] = reader.tag();
    if (type !== WIRE.lengthDelimited) reader.skip(type, end);
    else if (field === ENTRY.key) name = reader.text(reader.length(end));
    else if (field === ENTRY.value) {
      bytes = reader.length(end);
      chunks = reader.take(bytes);
    } else reader.skip(type, end);
  }
  // A field that began inside the entry and ended behind it.
  if (reader.position !== end) throw new Malformed();
  return { name, contentType: undefined, chunks, bytes };
}

// Reads PredictionsRequest straight into the parts that the data path wants. By hand, because this is the hot path: bodies
// stay views of the received bytes, and the number of map entries is bounded before any of them costs memory.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { Fault } from '../kernel/index.ts';
import type { InputPart } from '../serving/index.ts';
import { UnreadableMessage } from './method.ts';

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
const NO_BYTES = new Uint8Array(0);

/** Throws UnreadableMessage, or Fault `bad_request` for too many inputs. */
export function readPredictionsRequest(message: Uint8Array): PredictionsInput {
  try {
    return read(new BinaryReader(message));
  } catch (thrown) {
    throw thrown instanceof Fault ? thrown : new UnreadableMessage();
  }
}

function read(reader: BinaryReader): PredictionsInput {
  let modelName = '';
  let version = '';
  let sequenceId: string | undefined;
  const parts = new Map<string, InputPart>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type !== WireType.LengthDelimited) reader.skip(type, field);
    else if (field === FIELD.modelName) modelName = reader.string();
    else if (field === FIELD.modelVersion) version = reader.string();
    else if (field === FIELD.sequenceId) sequenceId = reader.string();
    else if (field === FIELD.input) {
      const part = readEntry(new BinaryReader(reader.bytes()));
      parts.set(part.name, part);
      if (parts.size > MAX_INPUTS) throw new Fault('bad_request', `More than ${MAX_INPUTS} inputs in one request.`);
    } else reader.skip(type, field);
  }
  return { modelName, version: version === '' ? undefined : version, parts: [...parts.values()], sequenceId };
}

function readEntry(reader: BinaryReader): InputPart {
  let name = '';
  let value: Uint8Array = NO_BYTES;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type !== WireType.LengthDelimited) reader.skip(type, field);
    else if (field === ENTRY.key) name = reader.string();
    else if (field === ENTRY.value) value = reader.bytes();
    else reader.skip(type, field);
  }
  return { name, contentType: undefined, chunks: [value], bytes: value.length };
}

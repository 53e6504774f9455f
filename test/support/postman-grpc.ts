// The management rows of surface spec 13.1 as calls of ManagementAPIsService (surface spec 5.3, 5.4).
import { ScalarType, type DescMessage, type DescMethod, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { ManagementAPIsService, type ManagementResponseSchema } from '../../src/grpc/gen/management_pb.ts';
import { POSTMAN_ROWS, type PostmanRow } from './postman-rows.ts';

export type ManagementMethod = {
  readonly input: DescMessage;
  readonly output: typeof ManagementResponseSchema;
} & DescMethod;

export interface GrpcRow {
  /** The row of the collection, for messages. */
  readonly row: string;
  readonly method: ManagementMethod;
  /** Fields under their names in the .proto file; fields that the row does not give are not set. */
  readonly request: JsonObject;
  readonly code: number;
}

export interface Translation {
  readonly calls: readonly GrpcRow[];
  /** Rows that gRPC cannot say, and the clean-up after registrations among them. */
  readonly leftOut: readonly string[];
}

/** Codes of surface spec 13.1 and 5.4 that differ from what the row's HTTP status maps to, and why. */
const OTHER_CODES: ReadonlyMap<string, number> = new Map([
  // An empty text is "not given": the url is missing.
  ['POST /models?url=&model_name=resnet', 3],
  // Integers below one are "not given", so nothing is wrong with these.
  ['PUT /models/squeezenet1_1?min_worker=-1', 0],
  ['PUT /models/squeezenet1_1?max_worker=-1', 0],
]);

/** A start timeout of zero is "not given" on gRPC; one that is too short for the model fails the same way. */
const COUNTERPARTS: ReadonlyMap<string, string> = new Map([
  [
    '/models?url=resnet-152-batch.mar&batch_size=3&initial_workers=3&startup_timeout=0',
    '/models?url=slow-start.mar&model_name=resnet-152-batch&batch_size=3&initial_workers=3&startup_timeout=1',
  ],
]);

const CODES: Readonly<Record<number, number>> = {
  200: 0,
  202: 0,
  206: 0,
  400: 3,
  403: 7,
  404: 5,
  405: 7,
  409: 10,
  500: 13,
};

/** `files` is the origin of remote archives. */
export function postmanRowsOnGrpc(files: string): Translation {
  const calls: GrpcRow[] = [];
  const leftOut: string[] = [];
  let isPreviousLeftOutRegister = false;
  for (const row of Object.values(POSTMAN_ROWS).flat()) {
    const [method, path] = row;
    const call: GrpcRow | undefined =
      isPreviousLeftOutRegister && method === 'DELETE' ? undefined : translated(row, files);
    if (call === undefined) leftOut.push(`${method} ${path}`);
    else calls.push(call);
    isPreviousLeftOutRegister = call === undefined && method === 'POST';
  }
  return { calls, leftOut };
}

function translated([verb, original, status]: PostmanRow, files: string): GrpcRow | undefined {
  const row = `${verb} ${original}`;
  const { pathname, searchParams } = new URL((COUNTERPARTS.get(original) ?? original).replace('{files}', files), files);
  const [, , name, version, action] = pathname.split('/');
  const method = methodOf(verb, name, action);
  const texts = new Map(searchParams);
  if (name !== undefined) texts.set('model_name', name);
  if (version !== undefined && version !== '') texts.set('model_version', version);
  // REST waits for a registration unless told not to; gRPC only where told to (surface spec 5.3).
  if (method === ManagementAPIsService.method.registerModel && !texts.has('synchronous'))
    texts.set('synchronous', 'true');

  const request: JsonObject = {};
  for (const [field, text] of texts) {
    const declared = method.input.fields.find((known) => known.name === field);
    // What the message has no field for cannot be said, and REST ignores it.
    if (declared?.fieldKind !== 'scalar' || text === '') continue;
    const value = valueOf(declared.scalar, text);
    if (value === undefined) return undefined;
    request[field] = value;
  }
  const code = OTHER_CODES.get(row) ?? CODES[status];
  if (code === undefined) throw new Error(`no gRPC code for ${status}: ${row}`);
  return { row, method, request, code };
}

function methodOf(verb: string, name: string | undefined, action: string | undefined): ManagementMethod {
  const { describeModel, listModels, registerModel, scaleWorker, setDefault, unregisterModel } =
    ManagementAPIsService.method;
  switch (verb) {
    case 'GET':
      return name === undefined ? listModels : describeModel;
    case 'POST':
      return registerModel;
    case 'PUT':
      return action === 'set-default' ? setDefault : scaleWorker;
    case 'DELETE':
      return unregisterModel;
    default:
      throw new Error(`no gRPC method for ${verb}`);
  }
}

/** `undefined` where the field's type cannot hold the text. */
function valueOf(type: ScalarType, text: string): JsonValue | undefined {
  if (type === ScalarType.STRING) return text;
  if (type === ScalarType.INT32) return /^-?\d+$/.test(text) ? Number(text) : undefined;
  if (type === ScalarType.BOOL) return text === 'true' || text === 'false' ? text === 'true' : undefined;
  throw new Error(`no text for a field of type ${ScalarType[type]}`);
}

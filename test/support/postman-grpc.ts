// The management rows of surface spec 13.1 as calls of ManagementAPIsService (surface spec 5.3, 5.4).
import { ScalarType, type DescMessage, type DescMethod, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
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
  /** What follows the message on the wire: texts in the place of numbers and booleans, as no client library writes them. */
  readonly junk: Uint8Array;
  readonly code: number;
  /** What the answer has to say; any answer will do where this is not given. */
  readonly says?: RegExp;
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
export function postmanRowsOnGrpc(files: string): readonly GrpcRow[] {
  return Object.values(POSTMAN_ROWS)
    .flat()
    .map((row) => translated(row, files));
}

function translated([verb, original, status]: PostmanRow, files: string): GrpcRow {
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
  const junk = new BinaryWriter();
  for (const [field, text] of texts) {
    const declared = method.input.fields.find((known) => known.name === field);
    // What the message has no field for cannot be said, and REST ignores it.
    if (declared?.fieldKind !== 'scalar' || text === '') continue;
    const value = valueOf(declared.scalar, text);
    if (value === undefined) junk.tag(declared.number, WireType.LengthDelimited).string(text);
    else request[field] = value;
  }
  const code = OTHER_CODES.get(row) ?? CODES[status];
  if (code === undefined) throw new Error(`no gRPC code for ${status}: ${row}`);
  return { row, method, request, junk: junk.finish(), code };
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

/** Integers that no row has, because a query may hold any text: of zero, below zero, and as large as they get. */
export function oddIntegersOnGrpc(): readonly GrpcRow[] {
  const { describeModel, listModels, registerModel, scaleWorker, unregisterModel } = ManagementAPIsService.method;
  const [least, most] = [-2_147_483_648, 2_147_483_647];
  const ask = (method: ManagementMethod, request: JsonObject, code: number, says?: RegExp): GrpcRow => ({
    row: `${method.name} ${JSON.stringify(request)}`,
    method,
    request,
    junk: new Uint8Array(),
    code,
    ...(says && { says }),
  });
  const model = { model_name: 'odd' };
  const unset = {
    batch_size: -5,
    max_batch_delay: least,
    initial_workers: -1,
    response_timeout: 0,
    startup_timeout: -1,
  };
  const huge = { batch_size: most, max_batch_delay: most, response_timeout: most, startup_timeout: most };
  return [
    ask(registerModel, { url: 'resnet-18.mar', ...model, ...unset }, 0, /registered with 0 initial workers/),
    ask(
      describeModel,
      model,
      0,
      /"batchSize": 1,\s+"maxBatchDelay": 100,\s+"responseTimeout": 120,\s+"startupTimeout": 120,/,
    ),
    ask(
      scaleWorker,
      { ...model, min_worker: 0, max_worker: 0, number_gpu: -1, timeout: -1, synchronous: true },
      0,
      /^Workers scaled to 1 /,
    ),
    ask(scaleWorker, { ...model, min_worker: least, max_worker: -1, synchronous: true }, 0, /^Workers scaled to 1 /),
    ask(scaleWorker, { ...model, min_worker: most, max_worker: most }, 3, /max_workers_per_model/),
    ask(scaleWorker, { ...model, min_worker: 3, max_worker: 2 }, 3, /^max_worker cannot be less than min_worker\./),
    ask(unregisterModel, model, 0),
    ask(registerModel, { url: 'resnet-18.mar', ...model, ...huge }, 0),
    ask(describeModel, model, 0, /"batchSize": 8192,\s+"maxBatchDelay": 2147483647,/),
    ask(listModels, { limit: 0 }, 0, /"nextPageToken": "0",\s+"models": \[\]/),
    ask(listModels, { limit: least, next_page_token: least }, 0, /"odd"/),
    ask(listModels, { limit: most }, 0, /"odd"/),
    ask(listModels, { limit: 1, next_page_token: most }, 0, /"models": \[\]/),
    ask(unregisterModel, model, 0, /^Model "odd" unregistered$/),
  ];
}

// A request's bytes, which a client controls, become rows for the model: JSON, Open Inference Protocol, raw tensors or an image.
import { viewBytes } from './datatypes.ts';
import { PredictionError } from './handler-api.ts';
import { sniffImage } from './image-decode.ts';
import { imageToRow } from './image-input.ts';
import { type Port, type Signature, fitRows, rawDims } from './model-signature.ts';
import type { OnnxSettings } from './onnx-config.ts';
import type { Part, RunRequest } from './protocol.ts';
import { MAX_RANK, type TensorValue, elementCount, fromNested } from './tensors.ts';

/** How the answer is shaped: it follows how the question was put. */
export type AnswerForm =
  /** One sample, no batch axis. */
  | { readonly kind: 'single' }
  | { readonly kind: 'list' }
  /** `{"instances": …}` is answered by `{"predictions": …}`. */
  | { readonly kind: 'predictions' }
  | { readonly kind: 'open-inference'; readonly id: string | undefined };

export interface PreparedInput {
  /** In the order of the signature's inputs. */
  readonly tensors: readonly TensorValue[];
  readonly rows: number;
  readonly form: AnswerForm;
}

export interface OnnxModel {
  readonly signature: Signature;
  readonly settings: OnnxSettings;
}

const BODY_NAMES = ['data', 'body'];

/** Throws a PredictionError (400) that says what the model takes. */
export function prepareInput(request: RunRequest, model: OnnxModel): PreparedInput {
  const { signature, settings } = model;
  const named = signature.inputs.map(({ name }) => request.parts.find((part) => part.name === name));
  if (named.every((part) => part !== undefined)) {
    return inputsOf(
      named.map((part, index) => rawRows(part.bytes, signature.inputs[index]!, signature)),
      false,
      signature,
    );
  }
  const part = request.parts.find(({ name }) => BODY_NAMES.includes(name)) ?? request.parts[0];
  if (part === undefined || part.bytes.length === 0) throw bad('The request has no body.');
  if (sniffImage(part.bytes) !== undefined) {
    if (settings.image === undefined) throw bad('This model takes no images.');
    const row = imageToRow(part.bytes, settings.image, signature.inputs[0]!);
    const { tensor } = fitRows(row, signature.inputs[0]!, signature);
    return { tensors: [tensor], rows: 1, form: { kind: 'single' } };
  }
  if (isJson(part)) return fromJson(parseJson(part.bytes), signature);
  if (part.contentType?.startsWith('image/')) throw bad('The body is neither a PNG nor a JPEG image.');
  return inputsOf([rawRows(part.bytes, onlyInput(signature), signature)], false, signature);
}

function isJson({ contentType, bytes }: Part): boolean {
  if (contentType === 'application/json') return true;
  if (contentType === 'application/octet-stream') return false;
  const first = bytes.toString('latin1', 0, 64).trimStart()[0];
  return first === '{' || first === '[';
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw Object.assign(bad('The body is not valid JSON.'), { cause });
  }
}

function fromJson(body: unknown, signature: Signature): PreparedInput {
  if (Array.isArray(body)) return fromLists(body, signature);
  if (!isRecord(body)) throw bad('The JSON body must be a list or an object.');
  if (Array.isArray(body['instances'])) {
    return { ...fromInstances(body['instances'], signature), form: { kind: 'predictions' } };
  }
  const inputs = body['inputs'] ?? body['data'];
  if (Array.isArray(inputs)) {
    return inputs.length > 0 && inputs.every(isNamedTensor)
      ? fromOpenInference(body, inputs, signature)
      : fromLists(inputs, signature);
  }
  const byName = isRecord(inputs) ? inputs : body;
  const fitted = signature.inputs.map((port) => {
    if (!Object.hasOwn(byName, port.name)) {
      throw bad(`Expected "instances", "inputs", "data" or the model's inputs by name; ${port.name} is missing.`);
    }
    return fitRows(fromNested(byName[port.name], port.type), port, signature);
  });
  return inputsOf(
    fitted.map(({ tensor }) => tensor),
    fitted.every(({ isSingle }) => isSingle),
    signature,
  );
}

function fromLists(list: readonly unknown[], signature: Signature): PreparedInput {
  const port = onlyInput(signature);
  const { tensor, isSingle } = fitRows(fromNested(list, port.type), port, signature);
  return inputsOf([tensor], isSingle, signature);
}

/** Instances are rows: lists for a model with one input, objects by input name otherwise. */
function fromInstances(instances: readonly unknown[], signature: Signature): PreparedInput {
  const byName = instances.length > 0 && instances.every(isRecord);
  const tensors = signature.inputs.map((port) => {
    const column = byName ? instances.map((instance) => instance[port.name]) : instances;
    if (!byName) onlyInput(signature);
    return fitRows(fromNested(column, port.type), port, signature).tensor;
  });
  return inputsOf(tensors, false, signature);
}

interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly data: readonly unknown[];
}

/** Open Inference Protocol, "Inference Request JSON Object": data flat or nested, row-major. */
function fromOpenInference(
  body: Record<string, unknown>,
  inputs: readonly NamedTensor[],
  signature: Signature,
): PreparedInput {
  const tensors = signature.inputs.map((port) => {
    const given =
      inputs.find(({ name }) => name === port.name) ?? (signature.inputs.length === 1 ? inputs[0] : undefined);
    if (given === undefined) throw bad(`Input ${port.name} is missing.`);
    if (given.datatype !== port.type.datatype) {
      throw bad(`Input ${port.name} has datatype ${given.datatype}; the model takes ${port.type.datatype}.`);
    }
    const { data } = fromNested(given.data.flat(MAX_RANK), port.type);
    if (!given.shape.every((dim) => Number.isInteger(dim) && dim >= 0) || data.length !== elementCount(given.shape)) {
      throw bad(`Input ${port.name}: ${data.length} elements do not fill its shape.`);
    }
    return fitRows({ type: port.type, dims: given.shape, data }, port, signature).tensor;
  });
  const id = typeof body['id'] === 'string' ? body['id'] : undefined;
  return { ...inputsOf(tensors, false, signature), form: { kind: 'open-inference', id } };
}

function isNamedTensor(value: unknown): value is NamedTensor {
  return (
    isRecord(value) &&
    Array.isArray(value['shape']) &&
    typeof value['datatype'] === 'string' &&
    Array.isArray(value['data'])
  );
}

function rawRows(bytes: Buffer, port: Port, signature: Signature): TensorValue {
  const dims = rawDims(bytes.length, port, signature);
  return { type: port.type, dims, data: viewBytes(port.type, bytes) };
}

function inputsOf(tensors: readonly TensorValue[], isSingle: boolean, { batching }: Signature): PreparedInput {
  const rows = batching === 'whole' ? 1 : tensors[0]!.dims[0]!;
  if (batching !== 'whole' && tensors.some(({ dims }) => dims[0] !== rows))
    throw bad('The inputs differ in their number of rows.');
  return { tensors, rows, form: { kind: isSingle || batching === 'whole' ? 'single' : 'list' } };
}

function onlyInput({ inputs }: Signature): Port {
  if (inputs.length === 1) return inputs[0]!;
  throw bad(`The model has ${inputs.length} inputs; name them: ${inputs.map(({ name }) => name).join(', ')}.`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function bad(message: string): PredictionError {
  return new PredictionError(message, 400);
}

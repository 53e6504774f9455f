// ONNX models: well-formed messages, data that lies inside the archive, operators that the runtime itself supplies.
import type { RandomAccess } from '../random-access.ts';
import { ELEMENT_BITS, MESSAGES, SINGLE } from './onnx-schema.ts';
import { walkProtobuf, type Message } from './protobuf.ts';
import { Refusal } from './refusal.ts';
import type { Report } from './report.ts';

/** Operator sets built into onnxruntime. Everything else comes from a library somebody must load. */
const DOMAINS = new Set([
  '', 'ai.onnx', 'ai.onnx.ml', 'ai.onnx.training', 'ai.onnx.preview.training', 'com.microsoft', 'com.microsoft.nchwc',
  'com.ms.internal.nhwc',
]); // prettier-ignore

/** Of those sets, the operators that run what is no part of the graph: Python, kernels, engines compiled for a device. */
const FOREIGN_CODE = new Set(['EPContext', 'PythonOp', 'PythonOpGrad', 'TritonOp', 'ATen', 'ExternalStream']);

/** Field numbers, by the names of onnx.proto. */
const TENSOR = { dims: 1, dataType: 2, rawData: 9, externalData: 13, dataLocation: 14 } as const;
const ENTRY = { key: 1, value: 2 } as const;
const NODE = { opType: 4, domain: 7 } as const;
const FUNCTION = { name: 1, domain: 10 } as const;
const MODEL = { irVersion: 1 } as const;

/** Names of the files beside the model, with their sizes. */
export type Siblings = ReadonlyMap<string, number>;

/** `name` is the model's own path, from which external data is resolved. */
export async function inspectOnnx(file: RandomAccess, name: string, siblings: Siblings, report: Report): Promise<void> {
  const walk = new OnnxWalk(name, siblings);
  const lengthsOnly = { Tensor: [TENSOR.rawData] };
  const kept = { Model: [1], Tensor: [1, 2, 9, 14], Entry: [1, 2], Node: [4, 7], Function: [1, 10] };
  await walkProtobuf(file, 'Model', {
    schema: MESSAGES,
    single: SINGLE,
    kept,
    lengthsOnly,
    onEnd: (message) => walk.end(message),
  });
  walk.finish(report);
}

class OnnxWalk {
  readonly #directory: string;
  readonly #siblings: Siblings;
  /** Operators outside the built-in domains, and the functions the model defines itself. */
  readonly #customOperators = new Set<string>();
  readonly #functions = new Set<string>();
  /** External data entries of tensors still open, filled by their children. */
  readonly #external = new Map<Message, Map<string, string>>();
  #hasGraph = false;

  constructor(name: string, siblings: Siblings) {
    this.#directory = name.slice(0, name.lastIndexOf('/') + 1);
    this.#siblings = siblings;
  }

  end(message: Message): void {
    switch (message.name) {
      case 'Entry':
        if (message.parent?.name === 'Tensor' && message.field === TENSOR.externalData)
          this.#endEntry(message, message.parent);
        return;
      case 'Tensor':
        return this.#endTensor(message);
      case 'Node': {
        const domain = message.texts?.get(NODE.domain)?.at(-1) ?? '';
        const operator = message.texts?.get(NODE.opType)?.at(-1) ?? '';
        if (!DOMAINS.has(domain) || FOREIGN_CODE.has(operator)) this.#customOperators.add(`${domain}::${operator}`);
        return;
      }
      case 'Function':
        this.#functions.add(
          `${message.texts?.get(FUNCTION.domain)?.at(-1)}::${message.texts?.get(FUNCTION.name)?.at(-1)}`,
        );
        return;
      case 'Graph':
        this.#hasGraph = true;
        return;
      case 'Model':
        if (message.numbers?.has(MODEL.irVersion) !== true)
          throw new Refusal('onnx_malformed', 'The model has no IR version.');
        return;
      default:
    }
  }

  finish(report: Report): void {
    if (!this.#hasGraph) throw new Refusal('onnx_malformed', 'The model has no graph.');
    for (const operator of this.#customOperators) {
      const isDefined = this.#functions.has(operator) && !FOREIGN_CODE.has(operator.split('::').at(-1) ?? '');
      if (!isDefined) report.add('onnx_custom_operator', `The model uses the operator ${operator}.`);
    }
  }

  #endEntry(entry: Message, tensor: Message): void {
    const entries = this.#external.get(tensor) ?? new Map<string, string>();
    const key = entry.texts?.get(ENTRY.key)?.at(-1) ?? '';
    // Some readers make attributes of their own objects of whatever stands here (CVE-2026-34445).
    if (!EXTERNAL_KEYS.has(key)) throw new Refusal('onnx_external_data', `External data has the unknown key ${key}.`);
    if (entries.has(key)) throw new Refusal('onnx_external_data', `External data names ${key} twice.`);
    entries.set(key, entry.texts?.get(ENTRY.value)?.at(-1) ?? '');
    this.#external.set(tensor, entries);
  }

  #endTensor(tensor: Message): void {
    const entries = this.#external.get(tensor);
    this.#external.delete(tensor);
    const bytes = rawBytes(tensor);
    const isExternal = tensor.numbers?.get(TENSOR.dataLocation)?.includes(1) === true;
    // Readers merge what appears twice: half a description here may complete another.
    if (isExternal || entries !== undefined) return this.#checkExternal(entries ?? new Map(), bytes);
    const raw = tensor.lengths?.get(TENSOR.rawData);
    if (raw !== undefined && bytes !== undefined && BigInt(raw) !== bytes) {
      throw new Refusal('onnx_malformed', 'A tensor has another length than its shape needs.');
    }
  }

  #checkExternal(entries: ReadonlyMap<string, string>, bytes: bigint | undefined): void {
    const location = entries.get('location') ?? '';
    if (!location.split('/').every((segment) => /^\w[\w.-]{0,254}$/.test(segment))) {
      throw new Refusal('onnx_external_data', `External data lies at ${location}, which is no plain relative name.`);
    }
    const size = this.#siblings.get(this.#directory + location);
    if (size === undefined)
      throw new Refusal('onnx_external_data', `External data lies in ${location}, which is not here.`);
    const offset = decimal(entries.get('offset') ?? '0');
    const length = entries.has('length') ? decimal(entries.get('length') as string) : (bytes ?? 0n);
    if (bytes !== undefined && length !== bytes) {
      throw new Refusal('onnx_external_data', `External data in ${location} has another length than its shape needs.`);
    }
    if (offset + length > BigInt(size)) {
      throw new Refusal('onnx_external_data', `External data reaches past the end of ${location}.`);
    }
  }
}

const EXTERNAL_KEYS: ReadonlySet<string> = new Set(['location', 'offset', 'length', 'checksum']);

/** What the shape says; undefined for strings. */
function rawBytes(tensor: Message): bigint | undefined {
  const type = tensor.numbers?.get(TENSOR.dataType)?.at(-1) ?? 0;
  const bits = ELEMENT_BITS[type];
  if (type >= ELEMENT_BITS.length) throw new Refusal('onnx_malformed', `The tensor type ${type} is unknown.`);
  const dims = tensor.numbers?.get(TENSOR.dims) ?? [];
  const elements = dims.reduce((product, dim) => product * BigInt(dim), 1n);
  if (dims.some((dim) => dim > Number.MAX_SAFE_INTEGER))
    throw new Refusal('onnx_malformed', 'A dimension is negative.');
  return bits === undefined ? undefined : (elements * BigInt(bits) + 7n) / 8n;
}

function decimal(text: string): bigint {
  if (!/^\d{1,18}$/.test(text))
    throw new Refusal('onnx_external_data', 'External data has an offset that is no number.');
  return BigInt(text);
}

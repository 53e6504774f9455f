// MAR-INF/MANIFEST.json (surface spec 8.2): bounded, checked by type, refused with TorchServe's words.
import type { HandlerRuntime } from './handler.ts';
import { parseUniqueJson } from './unique-json.ts';
import { invalidModel, quote } from './refusal.ts';

export const MANIFEST_NAME = 'MAR-INF/MANIFEST.json';
/** Real manifests have hundreds of bytes. */
export const MAX_MANIFEST_BYTES = 1024 * 1024;

export interface Manifest {
  /** The whole object, for the worker and for handlers that read members of their own. */
  readonly raw: Readonly<Record<string, unknown>> | null;
  readonly runtime: HandlerRuntime;
  readonly runtimeLabel: string;
  readonly modelName: string | undefined;
  readonly modelVersion: string;
  readonly handler: string | undefined;
  readonly envelope: string | undefined;
  readonly configFile: string | undefined;
  readonly requirementsFile: string | undefined;
  readonly serializedFile: string | undefined;
  readonly modelFile: string | undefined;
  readonly sourceVocab: string | undefined;
  readonly warnings: readonly string[];
}

const RUNTIMES: Readonly<Record<string, HandlerRuntime>> = {
  python: 'python',
  python3: 'python',
  onnx: 'onnx',
  node: 'node',
};
const DEFAULT_VERSION = '1.0';

/** What an archive without a manifest means (surface spec 8.2). */
export const DEFAULT_MANIFEST: Manifest = {
  raw: null,
  runtime: 'python',
  runtimeLabel: 'python',
  modelName: undefined,
  modelVersion: DEFAULT_VERSION,
  handler: undefined,
  envelope: undefined,
  configFile: undefined,
  requirementsFile: undefined,
  serializedFile: undefined,
  modelFile: undefined,
  sourceVocab: undefined,
  warnings: [],
};

/** Parses the member's bytes. Throws `invalid_model`. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const raw = parseObject(bytes);
  const model = raw['model'];
  if (!isRecord(model)) throw invalidModel('Missing Model entry in manifest file.');
  const { runtime, label } = parseRuntime(raw['runtime']);
  const optional = (key: string): string | undefined => optionalText(model, key);
  return {
    raw,
    runtime,
    runtimeLabel: label,
    modelName: requiredIfPresent(model, 'modelName', 'Model name is not defined.'),
    modelVersion: requiredIfPresent(model, 'modelVersion', 'Model version is not defined.') ?? DEFAULT_VERSION,
    handler: optional('handler'),
    envelope: optional('envelope'),
    configFile: optional('configFile'),
    requirementsFile: optional('requirementsFile'),
    serializedFile: optional('serializedFile'),
    modelFile: optional('modelFile'),
    sourceVocab: optional('sourceVocab'),
    warnings: ageWarnings(raw),
  };
}

/** The archive's files that the manifest refers to, besides the handler: `[member of the manifest, file]`. */
export function referencedFiles(manifest: Manifest): readonly (readonly [string, string])[] {
  const keys = ['configFile', 'requirementsFile', 'serializedFile', 'modelFile', 'sourceVocab'] as const;
  return keys.flatMap((key) => {
    const file = manifest[key];
    return file === undefined ? [] : [[key, file] as const];
  });
}

/** A runtime word from a manifest or a register call. `LSP` was TorchServe's C++ back end. */
export function parseRuntime(word: unknown): { readonly runtime: HandlerRuntime; readonly label: string } {
  if (word === undefined) return { runtime: 'python', label: 'python' };
  if (word === 'LSP') {
    throw invalidModel(
      'Runtime LSP (the C++ backend) is not supported; export the model to ONNX and use runtime onnx.',
    );
  }
  const runtime = typeof word === 'string' && Object.hasOwn(RUNTIMES, word) ? RUNTIMES[word] : undefined;
  if (typeof word !== 'string' || runtime === undefined) throw invalidModel('Runtime is not defined or invalid.');
  return { runtime, label: word };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let parsed: unknown;
  try {
    if (bytes.length > MAX_MANIFEST_BYTES) throw new RangeError('manifest too large');
    // A version written as a number keeps its text: 1.0 is not 1 (the reference reads it as text, too).
    parsed = parseUniqueJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes), ['modelVersion', 'modelName']);
  } catch (cause) {
    throw invalidModel('Failed to parse signature.json.', cause);
  }
  if (!isRecord(parsed)) throw invalidModel('Failed to parse signature.json.');
  return parsed;
}

function requiredIfPresent(model: Record<string, unknown>, key: string, message: string): string | undefined {
  const value = model[key];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') throw invalidModel(message);
  return value;
}

function optionalText(model: Record<string, unknown>, key: string): string | undefined {
  const value = model[key];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw invalidModel(`Manifest member ${quote(key)} must be text.`);
  return value;
}

function ageWarnings(raw: Record<string, unknown>): readonly string[] {
  const advice = 'Please upgrade to torch-model-archiver 0.2.0 or higher';
  const warnings: string[] = [];
  if (typeof raw['archiverVersion'] !== 'string') warnings.push(`Model archive version is not defined. ${advice}`);
  if (typeof raw['createdOn'] !== 'string') warnings.push(`Model archive createdOn is not defined. ${advice}`);
  return warnings;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

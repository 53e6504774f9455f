// model-config.yaml (surface spec 8.3): what an archive asks for. Wrong values are reported and ignored, never guessed at.
import { type Document, isScalar, parseDocument, visit } from 'yaml';
import { pythonTags } from './python-yaml.ts';
import { invalidModel, quote } from './refusal.ts';

/** The parser's time grows with the text; a config with a large vocabulary has tens of kilobytes. */
export const MAX_CONFIG_BYTES = 512 * 1024;
/** Aliases multiply the size of what they name; configs that use them do so a few times. */
const MAX_ALIASES = 50;
/** The worker gets this as JSON; deeper values would overflow a recursive reader. */
const MAX_DEPTH = 64;
const INT_MAX = 2_147_483_647;

/** The serving keys that were present and valid. Seconds, milliseconds and counts as the keys' names say. */
export interface ModelConfig {
  readonly minWorkers?: number;
  readonly maxWorkers?: number;
  readonly batchSize?: number;
  readonly maxBatchDelay?: number;
  readonly responseTimeout?: number;
  readonly startupTimeout?: number;
  readonly deviceType?: 'cpu' | 'gpu';
  readonly deviceIds?: readonly number[];
  readonly parallelType?: 'pp' | 'tp' | 'pptp' | 'custom';
  readonly parallelLevel?: number;
  readonly torchrun?: TorchrunConfig;
  readonly maxRetryTimeoutInSec?: number;
  readonly clientTimeoutInMills?: number;
  readonly jobQueueSize?: number;
  readonly useJobTicket?: boolean;
  readonly continuousBatching?: boolean;
  readonly sequenceBatching?: boolean;
  readonly sequenceMaxIdleMSec?: number;
  readonly sequenceTimeoutMSec?: number;
  readonly maxNumSequence?: number;
  readonly maxSequenceJobQueueSize?: number;
  readonly asyncCommunication?: boolean;
  readonly useVenv?: boolean;
}

/** Surface spec 8.4. The rendezvous of `rdzv-*` is never used; a group's ranks meet in a private file. */
export interface TorchrunConfig {
  readonly nnodes: number;
  readonly nprocPerNode: number;
  readonly ompNumThreads: number;
}

export interface ParsedConfig {
  readonly config: ModelConfig;
  /** Everything the file says, as JSON values: what a handler sees as `context.model_yaml_config`. */
  readonly raw: Readonly<Record<string, unknown>>;
  readonly warnings: readonly string[];
}

/** Parses the file's bytes; null when it is not YAML, with the reason as a warning (the config is then skipped). */
export function parseModelConfig(bytes: Uint8Array, fileName: string): ParsedConfig | { readonly failed: string } {
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw invalidModel(`Model config file ${quote(fileName)} is larger than ${MAX_CONFIG_BYTES} bytes.`);
  }
  const raw = parseYaml(bytes);
  if (raw === null) return { failed: `Failed to parse model config file ${fileName}` };
  const { config, warnings } = readModelConfig(raw);
  return { config, raw, warnings };
}

/** Picks and checks the serving keys of an already parsed config. */
export function readModelConfig(raw: Readonly<Record<string, unknown>>): {
  readonly config: ModelConfig;
  readonly warnings: readonly string[];
} {
  const config: Record<string, unknown> = {};
  const warnings: string[] = [];
  for (const [key, rule] of Object.entries(RULES)) {
    const value = Object.hasOwn(raw, key) ? raw[key] : undefined;
    if (value === undefined || value === null) continue;
    const accepted = rule.read(value);
    if (accepted === undefined) warnings.push(`Invalid ${key}: ${shown(value)}, should be ${rule.shouldBe}`);
    else config[key] = accepted;
  }
  const torchrun = config['torchrun'] as TorchrunConfig | undefined;
  if (torchrun !== undefined) {
    config['parallelLevel'] = torchrun.nprocPerNode;
    warnings.push(...unsupportedTorchrunKeys(raw['torchrun'] as object));
  }
  return { config, warnings };
}

interface Rule {
  readonly shouldBe: string;
  /** The value to use, or undefined when it is not acceptable. */
  read(value: unknown): unknown;
}

const integer = (min: number, shouldBe: string): Rule => ({
  shouldBe,
  read: (value) => (Number.isInteger(value) && Number(value) >= min && Number(value) <= INT_MAX ? value : undefined),
});
const boolean: Rule = { shouldBe: 'true or false', read: (value) => (typeof value === 'boolean' ? value : undefined) };
const word = (...words: readonly string[]): Rule => ({
  shouldBe: words.join(', ').replace(/, ([^,]*)$/, ' or $1'),
  read: (value) => (typeof value === 'string' && words.includes(value.toLowerCase()) ? value.toLowerCase() : undefined),
});
/** More devices than any host has; keeps the list from being a payload of its own. */
const MAX_DEVICES = 1024;

const RULES: Readonly<Record<keyof ModelConfig, Rule>> = {
  // TorchServe raises smaller values to 1.
  minWorkers: { shouldBe: 'integer', read: (value) => atLeastOne(integer(-INT_MAX, '').read(value)) },
  maxWorkers: integer(0, 'integer >= 0'),
  batchSize: integer(1, 'integer >= 1'),
  maxBatchDelay: integer(0, 'integer >= 0 (milliseconds)'),
  responseTimeout: integer(1, 'integer > 0 (seconds)'),
  startupTimeout: integer(1, 'integer > 0 (seconds)'),
  deviceType: word('cpu', 'gpu'),
  deviceIds: {
    shouldBe: 'list of integers >= 0',
    read: (value) =>
      Array.isArray(value) && value.length <= MAX_DEVICES && value.every((id) => Number.isInteger(id) && id >= 0)
        ? value
        : undefined,
  },
  parallelType: word('pp', 'tp', 'pptp', 'custom'),
  parallelLevel: integer(0, 'integer >= 0'),
  torchrun: { shouldBe: 'map', read: readTorchrun },
  maxRetryTimeoutInSec: integer(0, 'integer >= 0 (seconds)'),
  clientTimeoutInMills: integer(0, 'integer >= 0 (milliseconds)'),
  jobQueueSize: integer(1, 'integer > 0'),
  useJobTicket: boolean,
  continuousBatching: boolean,
  sequenceBatching: boolean,
  sequenceMaxIdleMSec: integer(0, 'integer >= 0 (milliseconds)'),
  sequenceTimeoutMSec: integer(0, 'integer >= 0 (milliseconds)'),
  maxNumSequence: integer(1, 'integer > 0'),
  maxSequenceJobQueueSize: integer(1, 'integer > 0'),
  asyncCommunication: boolean,
  useVenv: boolean,
};

const atLeastOne = (value: unknown): unknown => (typeof value === 'number' ? Math.max(1, value) : undefined);

const TORCHRUN_KEYS = new Set(
  'nnodes nproc-per-node rdzv-backend rdzv-endpoint rdzv-conf monitor-interval node-rank OMP_NUMBER_THREADS'.split(' '),
);

function readTorchrun(value: unknown): TorchrunConfig | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = value as Record<string, unknown>;
  const count = (key: string): number => {
    const accepted = integer(1, '').read(entries[key]);
    return typeof accepted === 'number' ? accepted : 1;
  };
  return { nnodes: count('nnodes'), nprocPerNode: count('nproc-per-node'), ompNumThreads: count('OMP_NUMBER_THREADS') };
}

/** Enough for a typing error; every warning goes to the log, to `describe` and to whoever registers the model. */
const MAX_UNSUPPORTED = 16;

const unsupportedTorchrunKeys = (torchrun: object): string[] =>
  Object.keys(torchrun)
    .filter((key) => !TORCHRUN_KEYS.has(key))
    .slice(0, MAX_UNSUPPORTED)
    .map((key) => `unsupported parameter ${quote(key).slice(1, -1)}`);

function shown(value: unknown): string {
  return typeof value === 'object' ? quote(JSON.stringify(value) ?? '') : quote(String(value)).slice(1, -1);
}

function parseYaml(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const document = parseDocument(text, {
      version: '1.1',
      customTags: pythonTags,
      merge: true,
      // Its own check compares each key with every other one.
      uniqueKeys: false,
      prettyErrors: false,
    });
    if (document.errors.length > 0 || hasDoubleKeys(document)) return null;
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    if (value === null || value === undefined) return {};
    if (typeof value !== 'object' || Array.isArray(value)) return null;
    return asJson(value, 0) as Record<string, unknown>;
  } catch {
    // Aliases that multiply, nesting that overflows the parser, bytes that are no text: all "cannot be parsed".
    return null;
  }
}

function hasDoubleKeys(document: Document.Parsed): boolean {
  let isFound = false;
  visit(document, {
    Map(_, { items }) {
      isFound = new Set(items.map(({ key }) => (isScalar(key) ? key.value : key))).size < items.length;
      return isFound ? visit.BREAK : undefined;
    },
  });
  return isFound;
}

/** Copies what JSON can carry; the document's prototypes and getters stay behind. */
function asJson(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new RangeError('nested too deeply');
  if (Array.isArray(value)) return value.map((item) => asJson(item, depth + 1));
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value !== 'object' || value === null) return value ?? null;
  const copy: Record<string, unknown> = Object.create(null);
  for (const [key, item] of Object.entries(value)) copy[key] = asJson(item, depth + 1);
  return copy;
}

// Parses what a worker sends as a metric (docs/worker-protocol.md, `metric`). The worker is hostile: it chooses every field.
import type { MetricType } from './definition.ts';

export interface HandlerSample {
  readonly name: string;
  readonly unit: string;
  readonly type: MetricType;
  readonly value: number;
  readonly dimensions: readonly (readonly [name: string, value: string])[];
  readonly requestIds: string | undefined;
}

const MAX_NAME_CHARS = 200;
const MAX_VALUE_CHARS = 200;
const MAX_DIMENSIONS = 20;
/** Fifty request ids of a batch. */
const MAX_REQUEST_IDS_CHARS = 2000;

/** What TorchServe's worker makes of the short units (surface spec 4.7). */
const UNITS: Readonly<Record<string, string>> = {
  ms: 'Milliseconds',
  s: 'Seconds',
  percent: 'Percent',
  count: 'Count',
  MB: 'Megabytes',
  GB: 'Gigabytes',
  kB: 'Kilobytes',
  B: 'Bytes',
  '': 'unit',
};

/** Undefined for anything that is not a well-formed, finite sample; a negative counter is not. */
export function parseHandlerSample(sample: unknown): HandlerSample | undefined {
  if (typeof sample !== 'object' || sample === null) return undefined;
  const { n: name, v: value, u: unit, type: typeWord, d: pairs, q: ids } = sample as Readonly<Record<string, unknown>>;
  if (!isText(name, MAX_NAME_CHARS) || name === '') return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  const type = parseType(typeWord);
  const dimensions = parseDimensions(pairs);
  if (type === undefined || dimensions === undefined || (type === 'counter' && value < 0)) return undefined;
  return { name, unit: parseUnit(unit), type, value, dimensions, requestIds: parseRequestIds(ids) };
}

function parseType(word: unknown): MetricType | undefined {
  const type = typeof word === 'string' && word.length < 20 ? word.toLowerCase() : undefined;
  return type === 'counter' || type === 'gauge' || type === 'histogram' ? type : undefined;
}

function parseUnit(unit: unknown): string {
  if (!isText(unit, 50)) return 'unit';
  return Object.hasOwn(UNITS, unit) ? (UNITS[unit] ?? unit) : unit;
}

function parseDimensions(pairs: unknown): HandlerSample['dimensions'] | undefined {
  if (pairs === undefined || pairs === null) return [];
  if (!Array.isArray(pairs) || pairs.length > MAX_DIMENSIONS) return undefined;
  const dimensions: (readonly [string, string])[] = [];
  for (const pair of pairs as readonly unknown[]) {
    if (!Array.isArray(pair)) return undefined;
    const [name, value] = pair as readonly unknown[];
    if (!isText(name, MAX_NAME_CHARS) || !isText(value, MAX_VALUE_CHARS)) return undefined;
    dimensions.push([name, value]);
  }
  return dimensions;
}

/** Text as it came or a list; only what an id can consist of, since it goes into a log line. */
function parseRequestIds(ids: unknown): string | undefined {
  const text = Array.isArray(ids)
    ? ids
        .slice(0, 50)
        .filter((id) => typeof id === 'string')
        .join(',')
    : ids;
  if (!isText(text, MAX_REQUEST_IDS_CHARS)) return undefined;
  return /^[\w,.:-]+$/.test(text) ? text : undefined;
}

const isText = (value: unknown, maxChars: number): value is string =>
  typeof value === 'string' && value.length <= maxChars;

// What is loaded at start: `load_models`, the `models` JSON and `model_snapshot` (surface spec 7.5 to 7.7).
import { z } from 'zod';
import { Fault } from '../kernel/index.ts';
import type { ModelDefaults, StartupModel, StartupModels } from './settings.ts';

/** Entries are split at their first `=` and not trimmed; empty ones are skipped. */
export function parseLoadModels(text: string | undefined): StartupModels {
  if (text === undefined || text === '') return { kind: 'list', models: [] };
  if (text.toLowerCase() === 'all') return { kind: 'all' };
  const models: StartupModel[] = [];
  for (const entry of text.split(',')) {
    if (entry === '') continue;
    const at = entry.indexOf('=');
    models.push(
      at < 0 ? { name: undefined, location: entry } : { name: entry.slice(0, at), location: entry.slice(at + 1) },
    );
  }
  return { kind: 'list', models };
}

/** By registered name, then archive version. `where` is for messages: `models at config.properties:7`. */
export function parseModelDefaults(
  text: string | undefined,
  where: string,
): ReadonlyMap<string, ReadonlyMap<string, ModelDefaults>> {
  const parsed = text === undefined || text === '' ? {} : readJson(ModelsJson, text, where);
  return new Map(
    Object.entries(parsed).map(([name, versions]) => [
      name,
      new Map(Object.entries(versions).map(([version, entry]) => [version, toDefaults(entry)])),
    ]),
  );
}

export function parseSnapshotModels(text: string, where: string): StartupModels {
  const { models } = readJson(SnapshotJson, text, where);
  const list = Object.entries(models ?? {}).flatMap(([name, versions]) =>
    Object.entries(versions).map(([version, entry]): StartupModel => {
      if (entry.marName === undefined) {
        throw new Fault('invalid_configuration', `${where} names no marName for ${name} version ${version}.`);
      }
      return {
        name,
        version,
        location: entry.marName,
        isDefaultVersion: entry.defaultVersion ?? false,
        defaults: restoredDefaults(entry),
      };
    }),
  );
  return { kind: 'snapshot', models: list };
}

/** Gson takes numbers as text too, and KServe writes them so. */
const Count = z
  .union(
    [
      z.int(),
      z
        .string()
        .regex(/^[+-]?\d{1,10}$/)
        .transform(Number),
    ],
    'must be an integer',
  )
  .optional();

const VersionJson = z.object({
  minWorkers: Count,
  maxWorkers: Count,
  batchSize: Count,
  maxBatchDelay: Count,
  responseTimeout: Count,
  startupTimeout: Count,
  parallelLevel: Count,
  runtimeType: z.string().optional(),
  defaultVersion: z.boolean().optional(),
  marName: z.string().optional(),
});

const ModelsJson = z.record(z.string(), z.record(z.string(), VersionJson));
const SnapshotJson = z.object({ models: ModelsJson.optional() });

function toDefaults(entry: z.infer<typeof VersionJson>): ModelDefaults {
  return {
    minWorkers: positive(entry.minWorkers),
    maxWorkers: positive(entry.maxWorkers),
    batchSize: positive(entry.batchSize),
    maxBatchDelayMs: positive(entry.maxBatchDelay),
    responseTimeoutSec: positive(entry.responseTimeout),
    startupTimeoutSec: positive(entry.startupTimeout),
    runtimeType: entry.runtimeType,
    parallelLevel: positive(entry.parallelLevel),
  };
}

/** Surface spec 7.7: timeouts that are not there are 120 seconds, whatever the operator's default. */
const RESTORED_TIMEOUT_SEC = 120;

/** Scaled down to nothing is a state worth restoring; in `models` 0 means "not given". */
function restoredDefaults(entry: z.infer<typeof VersionJson>): ModelDefaults {
  const defaults = toDefaults(entry);
  return {
    ...defaults,
    minWorkers: entry.minWorkers,
    maxWorkers: entry.maxWorkers,
    responseTimeoutSec: defaults.responseTimeoutSec ?? RESTORED_TIMEOUT_SEC,
    startupTimeoutSec: defaults.startupTimeoutSec ?? RESTORED_TIMEOUT_SEC,
    runtimeType: defaults.runtimeType ?? 'python',
  };
}

const positive = (value: number | undefined): number | undefined =>
  value !== undefined && value > 0 ? value : undefined;

function readJson<T>(schema: z.ZodType<T>, text: string, where: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Fault('invalid_configuration', `${where} must be JSON.`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const at = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`;
  throw new Fault('invalid_configuration', `${where}${at}: ${issue?.message ?? 'is not understood'}.`);
}

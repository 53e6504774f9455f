// The text of a snapshot: what was set and what is served, as a later start reads it (surface spec 7.7). Never a security key.
import properties from 'dot-properties';
import type { EffectiveValue } from './settings.ts';

export type SnapshotKind = 'startup' | 'snapshot' | 'shutdown';

/** One registered version of one model, with the values it is served by. */
export interface SnapshotModel {
  readonly name: string;
  readonly version: string;
  readonly isDefaultVersion: boolean;
  /** By which a later start finds the archive: a path in the model store, or a URL. */
  readonly marName: string;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  readonly batchSize: number;
  readonly maxBatchDelayMs: number;
  readonly responseTimeoutSec: number;
  readonly startupTimeoutSec: number;
  readonly runtimeType: string;
  /** Written only where it is above zero. */
  readonly parallelLevel: number;
}

export interface SnapshotContent {
  /** File name. */
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly values: readonly EffectiveValue[];
  readonly models: readonly SnapshotModel[];
}

/** First line of every snapshot of ours: those of TorchServe are read, but never removed. */
export const SNAPSHOT_MARK = '# Snapshot by Davy.';
const EXPLANATION = `${SNAPSHOT_MARK} Security keys are not in it: they come from config.properties or flags.\n`;

const NAME = /^(\d{17})-(startup|snapshot|shutdown)\.cfg$/;

/** Names start with their local time, `yyyyMMddHHmmssSSS`, so the last one in order is the newest. */
export function snapshotNames(names: readonly string[]): readonly string[] {
  return names.filter((name) => NAME.test(name)).toSorted();
}

/**
 * A name that sorts behind `newest`, whatever the clock did since: summer time ends, clocks are set back, and a start
 * takes the last one in order.
 */
export function snapshotName(kind: SnapshotKind, time: Date, newest: string | undefined): string {
  const now = BigInt(localStamp(time));
  const last = BigInt(NAME.exec(newest ?? '')?.[1] ?? 0);
  const stamp = now > last ? now : last + 1n;
  return `${String(stamp).padStart(STAMP_DIGITS, '0')}-${kind}.cfg`;
}

const STAMP_DIGITS = 17;

function localStamp(time: Date): string {
  const parts = [
    [time.getFullYear(), 4],
    [time.getMonth() + 1, 2],
    [time.getDate(), 2],
    [time.getHours(), 2],
    [time.getMinutes(), 2],
    [time.getSeconds(), 2],
    [time.getMilliseconds(), 3],
  ] as const;
  return parts.map(([value, digits]) => String(value).padStart(digits, '0')).join('');
}

/** Only what somebody set: a later version's better default must not be outvoted by an old one. */
export function renderSnapshot({ name, createdAt, values, models }: SnapshotContent): string {
  const set = values.filter(({ key, value, origin, isSecurity, isSecret }) => {
    return value !== undefined && origin.source !== 'default' && !isSecurity && !isSecret && key !== 'model_snapshot';
  });
  const entries = set.map(({ key, value }): [string, string] => [key, value ?? '']);
  const snapshot = {
    name,
    modelCount: new Set(models.map((model) => model.name)).size,
    created: createdAt,
    models: byName(models),
  };
  const pairs = [...entries, ['model_snapshot', JSON.stringify(snapshot)]];
  return `${EXPLANATION}${properties.stringify(pairs, ONE_LINE_EACH)}\n`;
}

/** ISO-8859-1 with escapes for the rest, as Java reads it; no folding, so that a person finds a value with grep. */
const ONE_LINE_EACH = { keySep: '=', lineWidth: null, latin1: true };

function byName(models: readonly SnapshotModel[]): Record<string, Record<string, object>> {
  const byModel: Record<string, Record<string, object>> = Object.create(null) as Record<string, Record<string, object>>;
  for (const model of models) {
    const versions = (byModel[model.name] ??= Object.create(null) as Record<string, object>);
    versions[model.version] = {
      defaultVersion: model.isDefaultVersion,
      marName: model.marName,
      minWorkers: model.minWorkers,
      maxWorkers: model.maxWorkers,
      batchSize: model.batchSize,
      maxBatchDelay: model.maxBatchDelayMs,
      responseTimeout: model.responseTimeoutSec,
      startupTimeout: model.startupTimeoutSec,
      runtimeType: model.runtimeType,
      ...(model.parallelLevel > 0 && { parallelLevel: model.parallelLevel }),
    };
  }
  return byModel;
}

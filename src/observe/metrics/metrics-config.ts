// Reads metrics.yaml (surface spec 4.5): which metrics exist. The operator's file, but parsed as strictly as anybody's.
import { parse } from 'yaml';
import { z } from 'zod';
import { Fault } from '../../kernel/index.ts';
import { DEFAULT_METRICS_YAML } from './default-metrics-yaml.ts';
import type { MetricDefinition, MetricType } from './definition.ts';

export interface MetricsConfig {
  readonly frontEnd: readonly MetricDefinition[];
  /** Dimensions as written: `Hostname` is added when a sample arrives. */
  readonly backEnd: readonly MetricDefinition[];
  /** The `model_metrics` section as plain JSON, for the workers' load frame; null where the file has none. */
  readonly modelMetrics: Readonly<Record<string, unknown>> | null;
}

const MAX_FILE_CHARS = 1024 * 1024;
/** Far more than a dashboard shows; YAML aliases could otherwise multiply a small file. */
const MAX_METRICS = 2000;

const word = z.string().min(1).max(200);
const metric = z.strictObject({ name: word, unit: word, dimensions: z.array(word).max(50).default([]) });
const metricList = z.array(metric).max(MAX_METRICS).nullish();
const section = z.strictObject({ counter: metricList, gauge: metricList, histogram: metricList });
const file = z.strictObject({
  dimensions: z.array(z.unknown()).nullish(),
  ts_metrics: section.nullish(),
  model_metrics: section.nullish(),
});

/** Throws `invalid_configuration`, naming the first thing that is wrong. */
export function parseMetricsConfig(text: string): MetricsConfig {
  const { ts_metrics: frontEnd, model_metrics: backEnd } = checked(parsedYaml(text));
  return { frontEnd: definitions(frontEnd), backEnd: definitions(backEnd), modelMetrics: backEnd ?? null };
}

export const defaultMetricsConfig = (): MetricsConfig => parseMetricsConfig(DEFAULT_METRICS_YAML);

/** What a failed load leaves: the server starts, without metrics. */
export const NO_METRICS: MetricsConfig = { frontEnd: [], backEnd: [], modelMetrics: null };

function parsedYaml(text: string): unknown {
  if (text.length > MAX_FILE_CHARS) throw invalid('the file is larger than 1 MiB');
  try {
    return parse(text, { maxAliasCount: 1000, logLevel: 'silent' });
  } catch (cause) {
    throw invalid(cause instanceof Error ? (cause.message.split('\n')[0] ?? 'not YAML') : 'not YAML', cause);
  }
}

function checked(content: unknown): z.infer<typeof file> {
  const result = file.safeParse(content);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`${issue?.path.join('.') || 'top level'}: ${issue?.message ?? 'not valid'}`);
}

function definitions(of: z.infer<typeof section> | null | undefined): readonly MetricDefinition[] {
  const types: readonly MetricType[] = ['counter', 'gauge', 'histogram'];
  return types.flatMap((type) => (of?.[type] ?? []).map((entry) => ({ ...entry, type })));
}

const invalid = (what: string, cause?: unknown): Fault =>
  new Fault('invalid_configuration', `metrics configuration: ${what}`, { cause });

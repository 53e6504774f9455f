// What is known of one metric before it has a value.

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricDefinition {
  readonly name: string;
  readonly unit: string;
  readonly type: MetricType;
  /** Label names; values are matched to them by position. */
  readonly dimensions: readonly string[];
}

/** One combination of label values. The hot path keeps hold of it and calls `update` only. */
export interface Series {
  /** Adds to a counter, sets a gauge, observes in a histogram. `requestIds` is for the log only. */
  update(value: number, requestIds?: string): void;
}

/** One metric with all its series. */
export interface MetricSink {
  readonly definition: MetricDefinition;
  /** Undefined when the number of values does not fit, or when the metric has all the series it may have. */
  at(values: readonly string[]): Series | undefined;
  /** Forgets a combination that will not come again. */
  remove(values: readonly string[]): void;
}

/** Prometheus' rules; a leading `__` is reserved. */
export const isMetricName = (name: string): boolean => name.length <= 200 && /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
export const isLabelName = (name: string): boolean => name.length <= 100 && /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);

/** Nothing legitimate has a thousand combinations of one metric; a request id used as a label has. */
export const MAX_SERIES_PER_METRIC = 1000;

const SEPARATOR = '\u0000';
export const seriesKey = (values: readonly string[]): string => values.join(SEPARATOR);

// What the metrics listener needs from whoever keeps the numbers.

export interface MetricsExposition {
  /** Prometheus text format 0.0.4 (surface spec 4.1, 4.6). `names` keeps only those sample names; undefined keeps all. */
  render(names: readonly string[] | undefined): string;
}

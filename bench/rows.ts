// What is measured, against which floor, and how the report looks.
import type { LoadPlan } from './load-generator.ts';
import { type Measurement, median } from './measurement.ts';

export interface Row {
  readonly name: string;
  readonly server: 'http' | 'chain-noop' | 'chain-echo' | 'session' | 'davy';
  /** Name of the row that this one is divided by. */
  readonly floor?: string;
  readonly load: Pick<LoadPlan, 'path' | 'connections' | 'body' | 'expectedBytes' | 'contentType'>;
}

const NOOP_ANSWER_BYTES = '{"output":1}'.length;
const SIZES = [
  { label: '1 KB', bytes: 1024, connections: 32 },
  { label: '600 KB', bytes: 600_000, connections: 8 },
  { label: '6 MB', bytes: 6_000_000, connections: 2 },
] as const;
/** One 8x8 image of float32. */
const DIGIT_BYTES = 256;

const noop = (connections: number, path: string): Row['load'] => ({
  path,
  connections,
  body: { bytes: 16 },
  expectedBytes: NOOP_ANSWER_BYTES,
});

export const ROWS: readonly Row[] = [
  { name: 'floor http', server: 'http', load: noop(32, '/') },
  { name: 'floor chain noop', server: 'chain-noop', load: noop(32, '/') },
  { name: 'davy noop', server: 'davy', floor: 'floor chain noop', load: noop(32, '/predictions/noop') },
  ...SIZES.flatMap(({ label, bytes, connections }): Row[] => {
    const load = { connections, body: { bytes }, expectedBytes: bytes };
    return [
      { name: `floor chain echo ${label}`, server: 'chain-echo', load: { path: '/', ...load } },
      {
        name: `davy echo ${label}`,
        server: 'davy',
        floor: `floor chain echo ${label}`,
        load: { path: '/predictions/echo', ...load },
      },
    ];
  }),
  { name: 'floor session.run', server: 'session', load: noop(1, '') },
  ...[1, 32].map(
    (connections): Row => ({
      name: `davy digits c=${connections}`,
      server: 'davy',
      floor: 'floor session.run',
      load: { path: '/predictions/digits', connections, body: { bytes: DIGIT_BYTES } },
    }),
  ),
];

export function printReport(rows: readonly Row[], measurements: ReadonlyMap<string, readonly Measurement[]>): void {
  const of = (name: string, pick: (measurement: Measurement) => number): number =>
    median(measurements.get(name)!.map(pick));
  const header = ['row', 'CPU µs/req', 'x floor', 'min..max', 'req/s', 'x floor', 'p50 ms', 'p99 ms', 'errors'];
  const lines = rows.map(({ name, floor }) => {
    const own = measurements.get(name)!;
    const cpu = of(name, ({ cpuUsPerRequest }) => cpuUsPerRequest);
    const rps = of(name, (measurement) => measurement.rps);
    const ratio = (value: number, pick: (measurement: Measurement) => number): string =>
      floor === undefined ? '' : (value / of(floor, pick)).toFixed(2);
    const spread = own.map(({ cpuUsPerRequest }) => cpuUsPerRequest);
    return [
      name,
      cpu.toFixed(0),
      ratio(cpu, ({ cpuUsPerRequest }) => cpuUsPerRequest),
      `${Math.min(...spread).toFixed(0)}..${Math.max(...spread).toFixed(0)}`,
      rps.toFixed(0),
      ratio(rps, (measurement) => measurement.rps),
      of(name, ({ p50Ms }) => p50Ms).toFixed(3),
      of(name, ({ p99Ms }) => p99Ms).toFixed(3),
      String(own.reduce((sum, { errors }) => sum + errors, 0)),
    ];
  });
  const table = [header, ...lines];
  const widths = header.map((_, column) => Math.max(...table.map((line) => line[column]!.length)));
  for (const line of table) {
    const cells = line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)));
    process.stdout.write(`${cells.join('  ')}\n`);
  }
}

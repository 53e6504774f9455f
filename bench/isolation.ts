// The price of the cage: `strict` against `none`, interleaved in one run, and what a hostile neighbour costs. See README.md.
//   node tools/launch.js bench/isolation.ts [--rounds N] [--seconds N] [--python PATH] [--level strict|process] [--only TEXT]
import { fork } from 'node:child_process';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { LoadPlan } from './load-generator.ts';
import { type LoadSummary, type Measurement, cpuPressure, median, treeCpuUs } from './measurement.ts';
import { type BenchServer, startDavy } from './servers.ts';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '0.6' },
    python: { type: 'string', default: process.env['DAVY_PYTHON'] ?? 'python3' },
    level: { type: 'string', default: 'strict' },
    only: { type: 'string', default: '' },
  },
});
const ROUNDS = Number(flags.rounds);
const MEASURE_MS = Number(flags.seconds) * 1000;
/** Short, because the first round of every row is not counted: many short rounds, taken in turn, see the same machine. */
const WARM_UP_MS = 200;

type Load = Pick<LoadPlan, 'path' | 'connections' | 'body' | 'expectedBytes'>;
interface Figure {
  readonly of: 'cpuUsPerRequest' | 'rps';
  readonly target: string;
}
/** Throughput needs a quiet machine; CPU time for each request says nearly the same on a busy one. */
const ROWS: Readonly<Record<string, { readonly load: Load; readonly figures: readonly Figure[] }>> = {
  noop: {
    load: { path: '/predictions/noop', connections: 16, body: { bytes: 16 }, expectedBytes: 12 },
    figures: [{ of: 'cpuUsPerRequest', target: '<= 1.15' }],
  },
  'echo 600 KB': {
    load: { path: '/predictions/echo', connections: 4, body: { bytes: 600_000 }, expectedBytes: 600_000 },
    figures: [{ of: 'cpuUsPerRequest', target: '<= 1.10' }],
  },
  matmul: {
    load: { path: '/predictions/matmul', connections: 2, body: { bytes: 16 }, expectedBytes: 12 },
    figures: [
      { of: 'rps', target: '>= 0.97' },
      { of: 'cpuUsPerRequest', target: '<= 1.03' },
    ],
  },
};

const READY = 'ready with torch, ms';
const NEIGHBOUR = 'neighbour of a hostile model, p99 ms';
const pressure = cpuPressure();
await priceOfTheCage();
if (NEIGHBOUR.includes(flags.only)) await hostileNeighbour();
console.log(JSON.stringify({ pressureBefore: pressure, load: loadavg()[0], rounds: ROUNDS, measureMs: MEASURE_MS }));

async function priceOfTheCage(): Promise<void> {
  const options = { python: flags.python, models: ['matmul'], settings: ['enable_model_api=true'] };
  const caged = await startDavy({ ...options, isolation: flags.level });
  const bare = await startDavy({ ...options, isolation: 'none' });
  try {
    for (const [name, { load, figures }] of Object.entries(ROWS)) {
      if (!name.includes(flags.only)) continue;
      const pairs = await interleaved((server) => measure(server, load), caged, bare);
      for (const { of, target } of figures) {
        const pick = (list: readonly Measurement[]): number[] => list.map((measurement) => measurement[of]);
        const picked = { caged: pick(pairs.caged), bare: pick(pairs.bare) };
        report(`${name}: ${of}`, picked, of === 'rps' ? Math.max : Math.min, target);
      }
    }
    if (READY.includes(flags.only)) report(READY, await interleaved(readyMs, caged, bare), Math.min, '<= 1.10');
  } finally {
    await Promise.all([caged.stop(), bare.stop()]);
  }
}

/** The neighbour's 99th percentile beside a model that takes whatever it gets, against the same without it. */
async function hostileNeighbour(): Promise<void> {
  const settings = ['enable_model_api=true', 'worker_memory_limit=512m', 'worker_cpus=1'];
  const server = await startDavy({ python: flags.python, isolation: flags.level, models: ['hostile'], settings });
  const load: Load = { path: '/predictions/noop', connections: 1, body: { bytes: 16 }, expectedBytes: 12 };
  try {
    const alone = await repeated(() => measure(server, load));
    await measure(server, { ...load, path: '/predictions/hostile', expectedBytes: 2 }, 100);
    const beside = await repeated(() => measure(server, load));
    const p99 = (list: readonly Measurement[]): number => median(list.map(({ p99Ms }) => p99Ms));
    const errors = sum(beside.map((measurement) => measurement.errors));
    console.log(
      JSON.stringify({
        row: NEIGHBOUR,
        alone: round(p99(alone)),
        beside: round(p99(beside)),
        ratio: round(p99(beside) / p99(alone)),
        wrongAnswers: errors,
        target: 'p99 <= 2',
      }),
    );
  } finally {
    await server.stop();
  }
}

interface Pairs<T> {
  readonly caged: readonly T[];
  readonly bare: readonly T[];
}

async function interleaved<T>(
  take: (server: BenchServer) => Promise<T>,
  caged: BenchServer,
  bare: BenchServer,
): Promise<Pairs<T>> {
  const found = { caged: [] as T[], bare: [] as T[] };
  // The first pair warms up.
  for (let turn = 0; turn <= ROUNDS; turn += 1) {
    const order = turn % 2 === 0 ? (['caged', 'bare'] as const) : (['bare', 'caged'] as const);
    for (const which of order) {
      const value = await take(which === 'caged' ? caged : bare);
      if (turn > 0) found[which].push(value);
    }
  }
  return found;
}

async function repeated<T>(take: () => Promise<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for (let turn = 0; turn < ROUNDS; turn += 1) found.push(await take());
  return found;
}

/** Neighbours on the machine only ever make a round worse: the ratio of the best rounds is the least disturbed. */
function report(
  row: string,
  { caged, bare }: Pairs<number>,
  best: (...values: number[]) => number,
  target: string,
): void {
  const ratios = caged.map((value, index) => value / bare[index]!).toSorted((a, b) => a - b);
  console.log(
    JSON.stringify({
      row,
      [flags.level]: round(median([...caged])),
      none: round(median([...bare])),
      ratioOfBest: round(best(...caged) / best(...bare)),
      ratioOfSums: round(sum(caged) / sum(bare)),
      ratioOfMedians: round(median([...caged]) / median([...bare])),
      spread: [round(ratios[0]!), round(ratios.at(-1)!)],
      target,
    }),
  );
}

/** From the request to start a worker until it can serve: an interpreter, torch, the cage, the handler. */
async function readyMs({ management }: BenchServer): Promise<number> {
  const call = async (method: string, path: string): Promise<void> => {
    const headers = { authorization: `Bearer ${management!.token}` };
    const response = await fetch(`${management!.url}${path}`, { method, headers });
    if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
    await response.arrayBuffer();
  };
  await call('POST', '/models?url=matmul.mar&model_name=ready&initial_workers=0');
  const startedAt = performance.now();
  await call('PUT', '/models/ready?min_worker=1&synchronous=true');
  const took = performance.now() - startedAt;
  await call('DELETE', '/models/ready/1.0');
  return took;
}

async function measure(server: BenchServer, load: Load, measureMs = MEASURE_MS): Promise<Measurement> {
  const plan = { ...load, port: server.port, token: server.token!, warmUpMs: WARM_UP_MS, measureMs } satisfies LoadPlan;
  const script = join(import.meta.dirname, 'load-generator.ts');
  const generator = fork(script, [JSON.stringify(plan)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const { promise, resolve, reject } = Promise.withResolvers<Measurement>();
  let cpuBefore = 0;
  generator.on('message', (message: { kind: string } & LoadSummary) => {
    if (message.kind === 'measuring') cpuBefore = treeCpuUs(server.pid);
    else resolve({ ...message, cpuUsPerRequest: (treeCpuUs(server.pid) - cpuBefore) / message.requests });
  });
  generator.on('exit', (code) => reject(new Error(`The load generator of ${load.path} ended with ${code}.`)));
  return promise;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

// `npm run bench`: Davy's rows and the floors beneath them, interleaved, in CPU time first. See README.md for what can fool you.
//
//   --quick            one short round: shows that everything runs, the figures mean little
//   --rounds N         default 3            --seconds N   measured time of a row in a round, default 4
//   --only TEXT        only rows (and their floors) whose name contains TEXT
//   --isolation LEVEL  as `davy serve` takes it; default: the server's own
import { fork, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { LoadPlan } from './load-generator.ts';
import { type LoadSummary, type Measurement, cpuPressure, treeCpuUs } from './measurement.ts';
import { type Row, printReport, ROWS } from './rows.ts';
import { type BenchServer, startChainFloor, startDavy, startHttpFloor } from './servers.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    isolation: { type: 'string' },
    python: { type: 'string', default: 'python3' },
  },
});
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 3));
const measureMs = Number(flags.seconds ?? (flags.quick ? 1 : 4)) * 1000;
const warmUpMs = flags.quick ? 500 : 2000;
/** Per cent; an idle machine shows less than one. */
const QUIET_PRESSURE = 5;
const HERE = import.meta.dirname;
const RESULTS = join(HERE, 'results');

/** Before anything of ours runs. */
const pressureBefore = cpuPressure();
const rows = selectRows(flags.only);
const servers = await startServers();
const measurements = new Map<string, Measurement[]>(rows.map(({ name }) => [name, []]));
try {
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) {
      process.stderr.write(`\rround ${round} of ${rounds}: ${row.name.padEnd(24)}`);
      measurements.get(row.name)!.push(await measure(row));
    }
  }
  process.stderr.write(`\r${' '.repeat(48)}\r`);
  printReport(rows, measurements);
  if (pressureBefore > QUIET_PRESSURE) {
    process.stdout.write(
      `\nThe machine was busy before the start (CPU pressure ${pressureBefore} %): trust ratios, not figures.\n`,
    );
  }
  save();
} finally {
  await Promise.all([...servers.values()].map((server) => server.stop()));
}

/** A row without its floor says nothing, so floors come along. */
function selectRows(only: string | undefined): readonly Row[] {
  if (only === undefined) return ROWS;
  const chosen = ROWS.filter(({ name }) => name.includes(only));
  return ROWS.filter((row) => chosen.includes(row) || chosen.some(({ floor }) => floor === row.name));
}

async function startServers(): Promise<Map<string, BenchServer>> {
  const started = new Map<string, BenchServer>();
  const starters: Record<string, () => Promise<BenchServer>> = {
    http: startHttpFloor,
    'chain-noop': () => startChainFloor('noop', flags.python),
    'chain-echo': () => startChainFloor('echo', flags.python),
    davy: () => startDavy({ python: flags.python, isolation: flags.isolation }),
  };
  try {
    for (const name of new Set(rows.map(({ server }) => server))) {
      if (name !== 'session') started.set(name, await starters[name]!());
    }
  } catch (error) {
    await Promise.all([...started.values()].map((server) => server.stop()));
    throw error;
  }
  return started;
}

async function measure(row: Row): Promise<Measurement> {
  const server = servers.get(row.server);
  const timing = { warmUpMs, measureMs };
  const script = join(HERE, server === undefined ? 'floors/session.ts' : 'load-generator.ts');
  const plan: object =
    server === undefined
      ? { model: join(HERE, '..', 'examples', 'digits', 'digits.onnx'), ...timing }
      : ({
          ...row.load,
          port: server.port,
          ...(server.token && { token: server.token }),
          ...timing,
        } satisfies LoadPlan);
  const generator = fork(script, [JSON.stringify(plan)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const measured = server?.pid ?? generator.pid!;
  const { promise, resolve, reject } = Promise.withResolvers<Measurement>();
  let cpuBefore = 0;
  generator.on('message', (message: { kind: string } & LoadSummary) => {
    if (message.kind === 'measuring') cpuBefore = treeCpuUs(measured);
    else resolve({ ...message, cpuUsPerRequest: (treeCpuUs(measured) - cpuBefore) / message.requests });
  });
  generator.on('exit', (code) => reject(new Error(`The load generator of ${row.name} ended with ${code}.`)));
  return promise;
}

/** One JSON line for each measurement, with everything needed to judge it later. */
function save(): void {
  const git = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: HERE, encoding: 'utf8' });
  const context = {
    at: new Date().toISOString(),
    commit: git.stdout?.trim() ?? null,
    node: process.version,
    cpu: cpus()[0]?.model ?? null,
    cores: cpus().length,
    load: loadavg()[0],
    pressureBefore,
    isolation: flags.isolation ?? 'default',
    measureMs,
  };
  mkdirSync(RESULTS, { recursive: true });
  const path = join(RESULTS, `${context.at.replaceAll(':', '-')}.jsonl`);
  for (const [row, list] of measurements) {
    for (const [round, measurement] of list.entries()) {
      appendFileSync(path, `${JSON.stringify({ row, round, ...measurement, ...context })}\n`);
    }
  }
  process.stdout.write(`\n${path}\n`);
}

// `davy status`: is the server healthy, and which models have how many ready workers.
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../kernel/index.ts';
import { type ServerOptions, callJson } from './client.ts';
import { EXIT, type Io, withProgress } from './io.ts';
import { type JsonOption, allModels, modelPath } from './models.ts';
import { formatTable, printable } from './table.ts';

interface ModelStatus {
  readonly model: string;
  readonly version: string;
  readonly ready: number;
  readonly workers: number;
}

interface ServerStatus {
  readonly health: string;
  readonly models: readonly ModelStatus[];
}

export interface StatusOptions extends ServerOptions, JsonOption {
  /** Seconds, as given on the command line: how long to wait for the server and for every worker. */
  readonly wait?: string;
}

/** How often a server that is starting is asked. */
const POLL_MS = 200;
/** How long the last answer may take. */
const LAST_ANSWER_MS = 2000;

/** Exit status 0 only for a healthy server; with `--wait`, only for one whose workers are all ready. */
export async function status(io: Io, options: StatusOptions): Promise<number> {
  const waitMs = options.wait === undefined ? undefined : milliseconds(options.wait);
  const { health, models } =
    waitMs === undefined
      ? await readStatus(io, options)
      : await withProgress(io, 'Waiting for the server and its workers', whenReady(io, options, waitMs));
  if (options.json) io.stdout.write(`${JSON.stringify({ status: health, models }, null, 2)}\n`);
  else {
    io.stdout.write(`${printable(health)} at ${options.inference}\n`);
    const rows = models.map(({ model, version, ready, workers }) => [model, version, `${ready}/${workers}`]);
    if (rows.length > 0) io.stdout.write(formatTable(['MODEL', 'VERSION', 'READY'], rows));
  }
  return health === 'Healthy' && (waitMs === undefined || models.every(isReady)) ? EXIT.ok : EXIT.failed;
}

async function readStatus(io: Io, options: ServerOptions): Promise<ServerStatus> {
  const ping = (await callJson(io, options, { method: 'GET', path: '/ping', key: 'inference' })) as {
    status?: unknown;
  };
  const models: ModelStatus[] = [];
  for (const { modelName } of await allModels(io, options)) {
    const path = modelPath(modelName, 'all');
    const versions = await callJson(io, options, { method: 'GET', path, key: 'management' });
    models.push(...(versions as readonly Record<string, unknown>[]).map((version) => statusOf(modelName, version)));
  }
  return { health: String(ping.status), models };
}

/** The first status with every worker ready, else the last one seen; throws `server_unreachable` where there was none. */
async function whenReady(io: Io, options: ServerOptions, waitMs: number): Promise<ServerStatus> {
  const giveUpAt = performance.now() + waitMs;
  // A server that accepts a call and never answers it must not outlast the wait by much.
  const signal = AbortSignal.timeout(waitMs + LAST_ANSWER_MS);
  for (;;) {
    const isLast = performance.now() >= giveUpAt;
    const seen = await readStatus(io, { ...options, signal }).catch((thrown: unknown) => {
      if (isLast || !(thrown instanceof Fault) || thrown.code !== 'server_unreachable') throw thrown;
      return undefined;
    });
    if (seen !== undefined && (isLast || seen.models.every(isReady))) return seen;
    await sleep(POLL_MS);
  }
}

const isReady = ({ ready, workers }: ModelStatus): boolean => ready === workers;

function milliseconds(seconds: string): number {
  const value = Number(seconds);
  if (!(value >= 0 && value <= MAX_WAIT_SECONDS)) {
    throw new Fault('usage', `--wait takes seconds, up to ${MAX_WAIT_SECONDS}: not ${seconds}`);
  }
  return value * 1000;
}

/** A day: longer is a mistake. */
const MAX_WAIT_SECONDS = 86_400;

export function statusOf(model: string, version: Readonly<Record<string, unknown>>): ModelStatus {
  const workers = (Array.isArray(version['workers']) ? version['workers'] : []) as readonly { status?: unknown }[];
  const ready = workers.filter((worker) => worker.status === 'READY').length;
  return { model, version: String(version['modelVersion']), ready, workers: workers.length };
}

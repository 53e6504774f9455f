// The real server as its own process, on free loopback ports, in a folder of its own; stopped by the test that started it.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TEST_ISOLATION } from './test-isolation.ts';

export interface RealServerOptions {
  readonly modelStore: string;
  /** As `--models` takes them. */
  readonly models?: readonly string[];
  /** Lines of config.properties. */
  readonly config?: readonly string[];
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A folder that outlives the server: its config.properties and its snapshots are found, not named. */
  readonly dir?: string;
}

export interface RealServer extends AsyncDisposable {
  readonly inference: string;
  readonly management: string;
  readonly metrics: string;
  readonly grpcInference: string;
  readonly grpcManagement: string;
  /** The server's working directory: key_file.json and logs are here. */
  readonly dir: string;
  readonly process: ChildProcess;
  /** Milliseconds from spawn to `Model server started.` */
  readonly readyMs: number;
  /** Everything on stdout and stderr so far. */
  output(): string;
  key(name: 'inference' | 'management' | 'API'): string;
  predict(model: string, body: string | Uint8Array, headers?: Record<string, string>): Promise<Response>;
  manage(method: string, path: string, body?: string): Promise<Response>;
  /** Resolves with the first log text that matches. Rejects after `timeoutMs`. */
  until(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  /** SIGTERM and wait: the exit code. */
  stop(): Promise<number | null>;
}

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'davy');
const START_LIMIT_MS = 60_000;
/** Set by `npm test`; worker tests need an interpreter that can import torch. */
const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';

/** Of one of its addresses. */
export const portOf = (address: string): number => Number(address.split(':').at(-1));

/** Rejects with the server's output when it does not start. */
export async function startRealServer(options: RealServerOptions): Promise<RealServer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempt === ATTEMPTS || !(error as Error).message.includes(TAKEN)) throw error;
    }
  }
}

/** On a busy machine a port that was free a moment ago may be somebody's by now. */
const TAKEN = 'another program listens there';
const ATTEMPTS = 3;

async function startOnce(options: RealServerOptions): Promise<RealServer> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'davy-server-'));
  const [inference, management, metrics, grpcInference, grpcManagement] = await freePorts(5);
  const lines = [
    `inference_address=http://127.0.0.1:${inference}`,
    `management_address=http://127.0.0.1:${management}`,
    `metrics_address=http://127.0.0.1:${metrics}`,
    `grpc_inference_port=${grpcInference}`,
    `grpc_management_port=${grpcManagement}`,
    `state_dir=${join(dir, 'state')}`,
    `isolation=${TEST_ISOLATION}`,
    `python=${PYTHON}`,
    'default_workers_per_model=1',
    'disable_system_metrics=true',
    ...(options.config ?? []),
  ];
  const configFile = join(dir, options.dir === undefined ? 'davy.properties' : 'config.properties');
  writeFileSync(configFile, `${lines.join('\n')}\n`, { mode: 0o600 });
  const found = options.dir === undefined ? ['--config', configFile, '--ncs'] : [];
  const models = options.models?.length ? ['--models', ...options.models] : [];
  const args = [BIN, 'serve', ...found, '--model-store', options.modelStore];
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [...args, '--pid-file', join(dir, 'pid'), ...models, ...(options.flags ?? [])],
    {
      cwd: dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', TMPDIR: dir, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let text = '';
  const wakers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      for (const wake of wakers) wake();
    });
  }
  const ended = once(child, 'exit').then(() => {
    for (const wake of wakers) wake();
  });
  const until = (pattern: RegExp, timeoutMs = START_LIMIT_MS): Promise<RegExpMatchArray> =>
    new Promise((resolve, reject) => {
      const timeout = setTimeout(
        () => finish(new Error(`no ${pattern} within ${timeoutMs} ms in:\n${text}`)),
        timeoutMs,
      );
      const look = (): void => {
        const match = pattern.exec(text);
        if (match !== null) finish(match);
        else if (child.exitCode !== null || child.signalCode !== null) finish(new Error(`the server ended:\n${text}`));
      };
      const finish = (outcome: RegExpMatchArray | Error): void => {
        clearTimeout(timeout);
        wakers.delete(look);
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      };
      wakers.add(look);
      look();
    });
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
    if (options.dir === undefined) removeTree(dir);
    return child.exitCode;
  };
  const url = (port: number | undefined): string => `http://127.0.0.1:${port}`;
  const key = (name: string): string =>
    (JSON.parse(readFileSync(join(dir, 'key_file.json'), 'utf8')) as Record<string, { key: string }>)[name]!.key;
  const authorized = (name: string): Record<string, string> =>
    existsSync(join(dir, 'key_file.json')) ? { authorization: `Bearer ${key(name)}` } : {};
  try {
    await until(/^Model server started\.$/m);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    inference: url(inference),
    management: url(management),
    metrics: url(metrics),
    grpcInference: `127.0.0.1:${grpcInference}`,
    grpcManagement: `127.0.0.1:${grpcManagement}`,
    dir,
    process: child,
    readyMs: performance.now() - startedAt,
    output: () => text,
    key,
    predict: (model, body, headers = {}) =>
      fetch(`${url(inference)}/predictions/${model}`, {
        method: 'POST',
        body: body as NonNullable<RequestInit['body']>,
        headers: { ...authorized('inference'), ...headers },
      }),
    manage: (method, path, body) =>
      fetch(`${url(management)}${path}`, {
        method,
        headers: { ...authorized('management'), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body }),
      }),
    until,
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

/** A killed server leaves unpacked models behind, whose folders not even their owner may write to. */
function removeTree(dir: string): void {
  spawnSync('chmod', ['-R', 'u+rwX', dir]);
  rmSync(dir, { recursive: true, force: true });
}

/** Ports that were free a moment ago. All are held at once, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

// The processes under test: floors and Davy, each started once and left idle while the others are measured.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildDigitsArchive } from '../examples/digits/build.ts';
import { writeArchive } from '../src/store/index.ts';

const READY_LINE = 'Model server started.';
const READY_TIMEOUT_MS = 60_000;
const ROOT = join(import.meta.dirname, '..');

export interface BenchServer {
  readonly pid: number;
  readonly port: number;
  readonly token?: string;
  /** Davy only: its management listener. */
  readonly management?: { readonly url: string; readonly token: string };
  stop(): Promise<void>;
}

export async function startHttpFloor(): Promise<BenchServer> {
  const port = await freePort();
  return { port, ...(await startNode(join(import.meta.dirname, 'floors', 'http.ts'), [String(port)])) };
}

export async function startChainFloor(mode: 'noop' | 'echo', python: string): Promise<BenchServer> {
  const port = await freePort();
  return { port, ...(await startNode(join(import.meta.dirname, 'floors', 'chain.ts'), [String(port), mode, python])) };
}

export interface DavyOptions {
  readonly python: string;
  /** Undefined: the server's default. */
  readonly isolation: string | undefined;
  /** Further handlers of `models/`, by file name without its ending. */
  readonly models?: readonly string[];
  /** `key=value` of config.properties. */
  readonly settings?: readonly string[];
}

/** The real server with noop, echo and digits, one worker each, token authorisation on, default logs. */
export async function startDavy({ python, isolation, models = [], settings = [] }: DavyOptions): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), 'davy-bench-'));
  const store = join(folder, 'models');
  await mkdir(store);
  for (const name of ['noop', 'echo', ...models]) {
    const handler = join(import.meta.dirname, 'models', `${name}.py`);
    await writeArchive({
      modelName: name,
      version: '1.0',
      handler,
      runtime: 'python',
      exportPath: store,
      archiveFormat: 'default',
    });
  }
  await buildDigitsArchive('digits-onnx', store);
  const ports = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()];
  const [inference, management, metrics] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string, string];
  const args = [
    'serve',
    ...['--model-store', store, '--models', 'noop=noop.mar', 'echo=echo.mar', 'digits=digits-onnx.mar'],
    ...models.map((name) => `${name}=${name}.mar`),
    ...['--inference-address', inference, '--management-address', management, '--metrics-address', metrics],
    ...['--python', python, '--pid-file', join(folder, 'davy.pid')],
    ...(isolation === undefined ? [] : ['--isolation', isolation]),
    ...[
      '--set',
      'default_workers_per_model=1',
      `grpc_inference_port=${ports[3]}`,
      `grpc_management_port=${ports[4]}`,
      ...settings,
    ],
  ];
  const { pid, stop } = await startNode(join(ROOT, 'bin', 'davy'), args, folder);
  const keys = JSON.parse(await readFile(join(folder, 'key_file.json'), 'utf8')) as Record<
    'inference' | 'management',
    { key: string }
  >;
  return {
    pid,
    port: ports[0]!,
    token: keys.inference.key,
    management: { url: management, token: keys.management.key },
    stop: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startNode(
  script: string,
  args: readonly string[],
  cwd?: string,
): Promise<Pick<BenchServer, 'pid' | 'stop'>> {
  const child = spawn(process.execPath, [script, ...args], { ...(cwd && { cwd }), stdio: ['ignore', 'pipe', 'pipe'] });
  await untilReady(child, script);
  return {
    pid: child.pid!,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

async function untilReady(child: ChildProcess, name: string): Promise<void> {
  let output = '';
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let isReady = false;
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk: Buffer) => {
      if (isReady) return;
      output += chunk.toString();
      isReady = output.includes(READY_LINE);
      if (isReady) resolve();
    });
  }
  child.on('exit', () => reject(new Error(`${name} ended before it was ready:\n${output}`)));
  const timer = setTimeout(() => reject(new Error(`${name} was not ready in time:\n${output}`)), READY_TIMEOUT_MS);
  try {
    await promise;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

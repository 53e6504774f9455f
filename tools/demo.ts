// `npm run demo`: the real server with the embedded digits model, one prediction over HTTP with a token, and what to try next.
//
//   --once   stop after the prediction        --keep   stay up although nobody is at the terminal
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { buildDigitsArchive } from '../examples/digits/build.ts';
import { ROOT } from './run-command.ts';

const DIGIT = 7;
const IMAGE = `examples/digits/images/${DIGIT}.png`;
const READY_LINE = 'Model server started.';
/** Ten times what it takes on two busy cores. */
const READY_TIMEOUT_MS = 30_000;
/** Enough for everything up to readiness; a server that is kept up logs on. */
const MAX_OUTPUT_CHARACTERS = 64 * 1024;

const stays = process.argv.includes('--keep') || (process.stdin.isTTY && !process.argv.includes('--once'));
const bold = (text: string): string => styleText('bold', text);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const dim = (text: string): string => styleText('dim', text);
const say = (line = ''): boolean => process.stdout.write(`${line}\n`);

interface DemoServer {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly inference: string;
  readonly management: string;
  readonly startedAt: number;
  /** What it has printed so far. */
  output(): string;
}

const folder = await mkdtemp(join(tmpdir(), 'davy-demo-'));
let child: ChildProcess | undefined;
const interrupted = Promise.withResolvers<void>();
// Kept for good: a second signal must not cut the clean-up short.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    child?.kill('SIGTERM');
    interrupted.resolve();
  });
}
try {
  say(`${bold('Davy demo')}: a handwritten-digits network (ONNX, no Python), served with token authorisation`);
  const server = await startServer();
  await predict(server);
  if (stays) {
    suggest(server);
    await Promise.race([interrupted.promise, once(server.child, 'exit')]);
  } else {
    suggestOwnModel();
    say(dim('\nNobody is at this terminal, so the demo server stops now.'));
  }
} catch (error) {
  process.stderr.write(`\nThe demo failed: ${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await stopServer();
  await rm(folder, { recursive: true, force: true });
}

/** The strongest cage that can be had. The server itself never settles for less than was asked; this model is our own. */
async function startServer(): Promise<DemoServer> {
  await buildDigitsArchive('digits-onnx', folder);
  for (const level of ['strict', 'process'] as const) {
    try {
      return await startServerAt(level);
    } catch (error) {
      const reason = /Isolation level .* cannot be had: .*/.exec((error as Error).message)?.[0];
      if (reason === undefined) throw error;
      say(dim(`  ${reason}`));
    }
  }
  return startServerAt('none');
}

async function startServerAt(level: string): Promise<DemoServer> {
  const ports = await freePorts(5);
  const [inference, management, metrics] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string, string];
  const args = [
    'serve',
    ...['--model-store', folder, '--models', 'digits=digits-onnx.mar', '--pid-file', join(folder, 'davy.pid')],
    ...['--inference-address', inference, '--management-address', management, '--metrics-address', metrics],
    ...[
      '--set',
      `grpc_inference_port=${ports[3]}`,
      `grpc_management_port=${ports[4]}`,
      'default_workers_per_model=1',
      `isolation=${level}`,
    ],
  ];
  const startedAt = performance.now();
  child = spawn(process.execPath, [join(ROOT, 'bin', 'davy'), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = collectOutput(child);
  await waitForReady(child, output);
  say(`  ready         ${seconds(performance.now() - startedAt)} after its start`);
  return { child, folder, inference, management, startedAt, output };
}

/** The first lines of the server's log: the rest is drained and dropped. */
function collectOutput({ stdout, stderr }: ChildProcess): () => string {
  let output = '';
  for (const stream of [stdout!, stderr!]) {
    stream.on('data', (chunk: Buffer) => {
      if (output.length < MAX_OUTPUT_CHARACTERS) output += chunk.toString();
    });
  }
  return () => output;
}

async function waitForReady(server: ChildProcess, output: () => string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (): void => {
    if (output().includes(READY_LINE)) resolve();
  };
  server.stdout!.on('data', look);
  server.on('error', reject);
  server.on('close', () => reject(new Error(`the server ended before it was ready. It said:\n${output()}`)));
  const timer = setTimeout(() => {
    reject(new Error(`the server was not ready after ${READY_TIMEOUT_MS / 1000} s. It said:\n${output()}`));
  }, READY_TIMEOUT_MS);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    server.stdout!.off('data', look);
  }
}

interface Answer {
  readonly best: readonly (readonly [label: string, probability: number])[];
  readonly tookMs: number;
}

async function ask({ inference, output }: DemoServer, key: string): Promise<Answer> {
  const sentAt = performance.now();
  const response = await fetch(`${inference}/predictions/digits`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'image/png' },
    body: await readFile(join(ROOT, IMAGE)),
  });
  const text = await response.text();
  if (response.status !== 200)
    throw new Error(`the server answered ${response.status}: ${text}\nIt said:\n${output()}`);
  return { best: Object.entries(JSON.parse(text) as Record<string, number>), tookMs: performance.now() - sentAt };
}

async function predict(server: DemoServer): Promise<void> {
  const keys = JSON.parse(await readFile(join(server.folder, 'key_file.json'), 'utf8')) as {
    inference: { key: string };
  };
  const names = JSON.parse(await readFile(join(ROOT, 'examples/digits/index_to_name.json'), 'utf8')) as Record<
    string,
    string
  >;
  // The first answer waits for the worker to have loaded its model; the second shows what a request takes.
  const { best } = await ask(server, keys.inference.key);
  const firstAfter = seconds(performance.now() - server.startedAt);
  const { tookMs } = await ask(server, keys.inference.key);

  const isolation = /Isolation: ([^\n]+)/.exec(server.output())?.[1]?.split(/[:;]/)[0];
  if (isolation !== undefined) say(`  isolation     ${isolation}`);
  const isCorrect = best[0]![0] === names[DIGIT];
  const verdict = isCorrect ? styleText('green', '✔ correct') : styleText('red', `✖ expected ${names[DIGIT]}`);
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  say(`  sent          ${IMAGE} ${dim(`(a ${DIGIT}), over HTTP with the inference key`)}`);
  say(`  prediction    ${bold(best[0]![0])} ${percent(best[0]![1])}  ${verdict}`);
  const others = best.slice(1).map(([label, probability]) => `${label} ${percent(probability)}`);
  say(dim(`                then ${others.join(', ')}`));
  say(
    `  time          first answer ${firstAfter} after the start of the server, the next one in ${tookMs.toFixed(1)} ms`,
  );
  if (!isCorrect) process.exitCode = 1;
}

function suggest({ inference, management, folder: home }: DemoServer): void {
  const key = (name: string): string => `$(node -p 'require("${join(home, 'key_file.json')}").${name}.key')`;
  say(bold('\nTry in another terminal, from this folder'));
  say(
    `  curl -H "Authorization: Bearer ${key('inference')}" ${inference}/predictions/digits -T examples/digits/images/3.png`,
  );
  say(`  curl -H "Authorization: Bearer ${key('management')}" ${management}/models/digits`);
  say(`  curl ${inference}/ping`);
  say(`  curl ${inference}/predictions/digits -T ${IMAGE}      ${dim('# refused: no key')}`);
  say(dim('\nThe server stays up until Ctrl-C.'));
}

/** What to try next when this server is about to go. */
function suggestOwnModel(): void {
  say(bold('\nWhat to try next'));
  say(`  npm run demo -- --keep                           ${dim('# keeps this server up, with requests to send it')}`);
  say(`  bin/davy serve --model-store DIR --models all    ${dim('# serves your own archives, TorchServe’s included')}`);
  say(`  bin/davy scan DIR                                ${dim('# tells whether checkpoints hold only data')}`);
  say(`  bin/davy migrate DIR                             ${dim('# what would change for a TorchServe installation')}`);
  say(dim('  docs/getting-started.md goes on from here.'));
}

async function stopServer(): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

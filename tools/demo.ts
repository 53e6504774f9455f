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

const stays = process.argv.includes('--keep') || (process.stdin.isTTY && !process.argv.includes('--once'));
const bold = (text: string): string => styleText('bold', text);
const dim = (text: string): string => styleText('dim', text);
const say = (line = ''): boolean => process.stdout.write(`${line}\n`);

interface DemoServer {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly inference: string;
  readonly management: string;
  readonly readyMs: number;
  readonly isolation: string;
}

const folder = await mkdtemp(join(tmpdir(), 'davy-demo-'));
let child: ChildProcess | undefined;
try {
  say(`${bold('Davy demo')}: a handwritten-digits network (ONNX, no Python), served with token authorisation`);
  const server = await startServer();
  say(`  ready after   ${(server.readyMs / 1000).toFixed(2)} s`);
  say(`  workers       ${server.isolation}`);
  await predict(server);
  suggest(server);
  if (stays) {
    say(dim('The server stays up until Ctrl-C.'));
    await until(child!);
  }
} catch (error) {
  process.stderr.write(`\nThe demo failed: ${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await stopServer();
  await rm(folder, { recursive: true, force: true });
}

async function startServer(): Promise<DemoServer> {
  await buildDigitsArchive('digits-onnx', folder);
  const ports = await freePorts(5);
  const [inference, management, metrics] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string, string];
  const args = [
    'serve',
    ...['--model-store', folder, '--models', 'digits=digits-onnx.mar', '--pid-file', join(folder, 'davy.pid')],
    ...['--inference-address', inference, '--management-address', management, '--metrics-address', metrics],
    ...['--set', `grpc_inference_port=${ports[3]}`, `grpc_management_port=${ports[4]}`, 'default_workers_per_model=1'],
  ];
  const startedAt = performance.now();
  child = spawn(process.execPath, [join(ROOT, 'bin', 'davy'), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = await waitForReady(child);
  const readyMs = performance.now() - startedAt;
  const isolation = /Isolation: ([^"\n]+)/.exec(output)?.[1] ?? 'see the log for their isolation';
  return { child, folder, inference, management, readyMs, isolation };
}

/** Everything the server printed until it was ready. The rest of its output is drained and dropped. */
async function waitForReady(server: ChildProcess): Promise<string> {
  let output = '';
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const collect = (chunk: Buffer): void => {
    if (output.includes(READY_LINE)) return;
    output += chunk.toString();
    if (output.includes(READY_LINE)) resolve(output);
  };
  server.stdout!.on('data', collect);
  server.stderr!.on('data', collect);
  server.on('error', reject);
  server.on('exit', () => reject(new Error(`the server ended before it was ready. It said:\n${output}`)));
  const timer = setTimeout(() => {
    reject(new Error(`the server was not ready after ${READY_TIMEOUT_MS / 1000} s. It said:\n${output}`));
  }, READY_TIMEOUT_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

async function predict({ inference, folder: home }: DemoServer): Promise<void> {
  const keys = JSON.parse(await readFile(join(home, 'key_file.json'), 'utf8')) as { inference: { key: string } };
  const names = JSON.parse(await readFile(join(ROOT, 'examples/digits/index_to_name.json'), 'utf8')) as Record<
    string,
    string
  >;
  const startedAt = performance.now();
  const response = await fetch(`${inference}/predictions/digits`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keys.inference.key}`, 'content-type': 'image/png' },
    body: await readFile(join(ROOT, IMAGE)),
  });
  const text = await response.text();
  const took = performance.now() - startedAt;
  if (response.status !== 200) throw new Error(`the server answered ${response.status}: ${text}`);
  const [best, ...others] = Object.entries(JSON.parse(text) as Record<string, number>);
  const [label, probability] = best!;
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  const verdict =
    label === names[DIGIT] ? styleText('green', '✔ correct') : styleText('red', `✖ expected ${names[DIGIT]}`);
  say(`  sent          ${IMAGE} ${dim(`(a ${DIGIT})`)}`);
  say(
    `  prediction    ${bold(label)} ${percent(probability)}  ${verdict} ${dim(`in ${took.toFixed(1)} ms, first request`)}`,
  );
  say(dim(`                then ${others.map(([name, value]) => `${name} ${percent(value)}`).join(', ')}`));
  if (label !== names[DIGIT]) process.exitCode = 1;
}

function suggest({ inference, management, folder: home }: DemoServer): void {
  const key = (name: string): string => `$(node -p 'require("${join(home, 'key_file.json')}").${name}.key')`;
  say();
  say(stays ? bold('Try in another terminal') : bold('With `npm run demo -- --keep` the server stays up for'));
  say(
    `  curl -H "Authorization: Bearer ${key('inference')}" ${inference}/predictions/digits -T examples/digits/images/3.png`,
  );
  say(`  curl -H "Authorization: Bearer ${key('management')}" ${management}/models/digits`);
  say(`  curl ${inference}/ping`);
  say(`  curl ${inference}/predictions/digits -T ${IMAGE}      ${dim('# refused: no token')}`);
  say();
}

async function until(server: ChildProcess): Promise<void> {
  const stop = Promise.withResolvers<void>();
  process.once('SIGINT', () => stop.resolve());
  process.once('SIGTERM', () => stop.resolve());
  await Promise.race([stop.promise, once(server, 'exit')]);
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

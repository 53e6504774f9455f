// `npm run release-check`: packs the package, installs it into an empty folder as a user would, and serves models from there.
import { type ChildProcess, spawn } from 'node:child_process';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../test/support/real-server.ts';
import { TEST_ISOLATION } from '../test/support/test-isolation.ts';
import { ROOT, runCommand } from './run-command.ts';

/** Binaries come through dependencies, tests stay at home, and Node runs no TypeScript inside node_modules. */
const FORBIDDEN = [/\.node$/, /(^|\/)node_modules\//, /\.test\./, /(^|\/)tests?\//, /__pycache__/, /(?<!\.d)\.ts$/];
const REQUIRED = [
  'bin/davy',
  'dist/app/cli/main.js',
  'dist/workers/node-worker/handler-api.d.ts',
  'python/davy_worker/__main__.py',
  'python/ts/torch_handler/base_handler.py',
  'examples/digits/digits.onnx',
  'docs/configuration.md',
  'proto/inference.proto',
  'LICENSE',
  'README.md',
];
const READY_TIMEOUT_MS = 30_000;
/** The longest is npm fetching the ONNX runtime. */
const COMMAND_TIMEOUT_MS = 180_000;
/** Of the server's log, shown when a step fails. */
const MAX_LOG_CHARACTERS = 8000;

const NOOP = 'def handle(data, context):\n    return data and [row.get("body") for row in data]\n';
const HANDLER = `
import type { Handler, InputRow } from 'davy-serve/handler';
import { PredictionError } from 'davy-serve/handler';

export const handle: Handler['handle'] = (data: readonly InputRow[], context) =>
  data.map((row, index) => {
    context.setResponseContentType(index, 'text/plain');
    return typeof row['body'] === 'string' ? row['body'] : new PredictionError('text, please', 415);
  });
`;

let output = '';
const folder = mkdtempSync(join(tmpdir(), 'davy-release-'));
const bin = (name: string): string => join(folder, 'node_modules', '.bin', name);
const installed = (path: string): string => join(folder, 'node_modules', 'davy-serve', path);
try {
  await step('pack', pack);
  await step('install', install);
  await step('commands', tryCommands);
  await step('handler types', checkTypes);
  await step('serve', serve);
} catch (error) {
  process.stderr.write(`✖ ${(error as Error).message}\n${output.slice(-MAX_LOG_CHARACTERS)}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function step(name: string, work: () => Promise<string>): Promise<void> {
  const startedAt = performance.now();
  const remark = await work();
  process.stdout.write(`✔ ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s) ${remark}\n`);
}

/** .npmrc keeps every script from running by itself, `prepack` too: the build is ours to start. */
async function pack(): Promise<string> {
  await run(process.execPath, ['tools/build.ts'], ROOT);
  const printed = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], ROOT);
  const [{ filename, files, size }] = JSON.parse(printed.slice(printed.indexOf('[\n'))) as [
    { filename: string; size: number; files: { path: string }[] },
  ];
  const paths = files.map(({ path }) => path);
  assert.deepEqual(
    paths.filter((path) => FORBIDDEN.some((pattern) => pattern.test(path))),
    [],
    'files that a package must not carry',
  );
  assert.deepEqual(
    REQUIRED.filter((path) => !paths.includes(path)),
    [],
    'files that the package lacks',
  );
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  writeFileSync(join(folder, 'tarball'), filename);
  return `${paths.length} files, ${Math.round(size / 1024)} KiB`;
}

async function install(): Promise<string> {
  const tarball = `./${readFileSync(join(folder, 'tarball'), 'utf8')}`;
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', tarball]);
  return '';
}

async function tryCommands(): Promise<string> {
  assert.match(await run('npx', ['davy', '--help']), /davy serve --model-store/);
  assert.equal(await run(bin('torchserve'), ['--version']), 'TorchServe Version is 0.12.0\n');
  assert.match(await run(bin('torch-model-archiver'), ['--help']), /--model-name/);
  assert.match(await run(bin('torch-workflow-archiver'), ['--help']), /--workflow-name/);
  assert.match(await run(bin('davy'), ['scan', installed('examples/digits/digits.onnx')]), /1 allowed, 0 denied/);
  return (await run(bin('davy'), ['--version'])).trim();
}

async function checkTypes(): Promise<string> {
  writeFileSync(join(folder, 'handler.ts'), HANDLER);
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
  const roots = ['--typeRoots', join(ROOT, 'node_modules', '@types')];
  await run(join(ROOT, 'node_modules', '.bin', 'tsc'), [...options, ...roots, 'handler.ts']);
  return '';
}

async function serve(): Promise<string> {
  mkdirSync(join(folder, 'models'));
  writeFileSync(join(folder, 'noop.py'), NOOP);
  const example = (name: string): string => installed(`examples/digits/${name}`);
  const common = ['--version', '1.0', '--export-path', 'models'];
  await run(bin('davy'), ['archive', '--model-name', 'noop', '--handler', 'noop.py', ...common]);
  const onnx = ['--runtime', 'onnx', '--handler', 'onnx', '--serialized-file', example('digits.onnx')];
  const extras = ['--extra-files', example('index_to_name.json'), '--config-file', example('model-config.yaml')];
  await run(bin('davy'), ['archive', '--model-name', 'digits', ...onnx, ...extras, ...common]);
  const [inference, ...others] = await freePorts(5);
  const server = await startServer([inference!, ...others]);
  try {
    const ask = ['predict', '--inference', `http://127.0.0.1:${inference}`];
    assert.equal(await run(bin('davy'), [...ask, 'noop', '--data', 'hello', '--content-type', 'text/plain']), 'hello');
    const answer = await run(bin('davy'), [...ask, 'digits', example('images/7.png')]);
    assert.equal(Object.keys(JSON.parse(answer) as object)[0], 'seven');
  } finally {
    const ended = once(server, 'exit');
    server.kill('SIGTERM');
    await ended;
  }
  return `ONNX and Python, isolation ${TEST_ISOLATION}`;
}

async function startServer([inference, management, metrics, ...grpc]: readonly number[]): Promise<ChildProcess> {
  const args = ['serve', '--model-store', 'models', '--models', 'all', '--ncs', '--pid-file', 'pid'];
  const settings = [
    `inference_address=http://127.0.0.1:${inference}`,
    `management_address=http://127.0.0.1:${management}`,
    `metrics_address=http://127.0.0.1:${metrics}`,
    `grpc_inference_port=${grpc[0]}`,
    `grpc_management_port=${grpc[1]}`,
    'state_dir=state',
    'python=python3',
    `isolation=${TEST_ISOLATION}`,
  ];
  const server = spawn(bin('davy'), [...args, '--set', ...settings], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  server.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!output.includes('Model server started.')) {
    const hasEnded = server.exitCode !== null || performance.now() > deadline;
    assert.ok(!hasEnded, `the server did not start:\n${output}`);
    await sleep(50);
  }
  return server;
}

async function run(command: string, args: readonly string[], cwd = folder): Promise<string> {
  const { exitCode, output } = await runCommand(command, args, { cwd, timeoutMs: COMMAND_TIMEOUT_MS });
  assert.equal(exitCode, 0, `${command} ${args.join(' ')} ended with ${exitCode}:\n${output}`);
  return output;
}

// `npm test`: the checks, the Python suite, then the Node tests in two processes. The last line is the sum of them all.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CheckSummary, runChecks } from './check.ts';
import { ensurePythonEnv } from './python-env.ts';
import { ROOT, runCommand } from './run-command.ts';

/** One test may start a server and workers on a loaded two-core machine. */
const TEST_TIMEOUT_MS = 120_000;
/** A loop that never yields keeps even the runner's own timeouts from firing. */
const SUITE_TIMEOUT_MS = 30 * 60_000;

/** A process for each of two cores; most of a test is waiting for a server or a worker. About the same work in each. */
const SHARES = [
  ['src/**/*.test.ts', 'test/*.test.ts', 'test/{attack,system,support}/**/*.test.ts'],
  ['test/compat/**/*.test.ts'],
];

/** What the libraries under test leave in the temporary directory by themselves. */
const FOREIGN = ['torchinductor_'];

const selection = process.argv.slice(2);
const checks = await runChecks({ withArchitecture: false });
const python = await preparePython();
const temporary = mkdtempSync(join(tmpdir(), 'davy-test-'));
// Workers under uids of their own walk through it.
chmodSync(temporary, 0o711);
const surroundings = { ...process.env, TMPDIR: temporary, ORT_DISABLE_TELEMETRY: '1' };
const suites = [checks, await runPythonTests(python)];
heading('Node tests');
const shares = selection.length > 0 ? [selection] : SHARES;
// The output of the first is seen while it runs, that of the others in one piece when they have ended.
suites.push(...(await Promise.all(shares.map((files, at) => runNodeTests(python, files, at === 0)))));
sweep();
const passed = suites.reduce((sum, suite) => sum + suite.passed, 0);
const failed = suites.reduce((sum, suite) => sum + suite.failed, 0);
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

async function preparePython(): Promise<string> {
  try {
    return await ensurePythonEnv();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(1);
  }
}

async function runPythonTests(interpreter: string): Promise<CheckSummary> {
  if (!existsSync(join(ROOT, 'python', 'tests'))) return { passed: 0, failed: 0 };
  heading('Python tests');
  const args = ['-m', 'unittest', 'discover', '-s', 'python/tests'];
  const env = { ...surroundings, PYTHONPATH: join(ROOT, 'python'), PYTHONDONTWRITEBYTECODE: '1' };
  const { exitCode, output } = await runCommand(interpreter, args, { env, isLive: true });
  const count = Number(/^Ran (\d+) tests?/m.exec(output)?.[1] ?? 0);
  const summary = /^FAILED \((.*)\)$/m.exec(output)?.[1] ?? '';
  const named = (word: string): number => Number(new RegExp(`\\b${word}=(\\d+)`).exec(summary)?.[1] ?? 0);
  const failed = named('failures') + named('errors') + named('unexpected successes');
  // A suite that died before it could count has failed once. No tests at all is exit code 5.
  if (exitCode !== 0 && failed === 0 && exitCode !== 5) return { passed: count, failed: 1 };
  return { passed: Math.max(0, count - failed), failed };
}

async function runNodeTests(interpreter: string, files: readonly string[], isLive: boolean): Promise<CheckSummary> {
  const args = [
    '--test',
    '--test-isolation=none',
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    '--test-force-exit',
    '--test-reporter=spec',
    ...files,
  ];
  const env = { ...surroundings, DAVY_PYTHON: interpreter };
  const options = { env, isLive, timeoutMs: SUITE_TIMEOUT_MS };
  const { exitCode, output } = await runCommand(process.execPath, args, options);
  if (!isLive) process.stdout.write(output);
  const counted = (word: string): number => Number(new RegExp(`^\\S*ℹ ${word} (\\d+)`, 'm').exec(output)?.[1] ?? 0);
  const failed = counted('fail') + counted('cancelled');
  return { passed: counted('pass'), failed: exitCode !== 0 && failed === 0 ? 1 : failed };
}

/** Tests tidy up after themselves; those that do not are named, and their files go. */
function sweep(): void {
  const left = readdirSync(temporary).filter((name) => !FOREIGN.some((prefix) => name.startsWith(prefix)));
  if (left.length > 0) process.stdout.write(`\nLeft behind in the temporary directory: ${left.join(', ')}\n`);
  // Unpacked models are read-only, even for their owner.
  spawnSync('chmod', ['-R', 'u+rwX', temporary]);
  rmSync(temporary, { recursive: true, force: true });
}

function heading(text: string): void {
  process.stdout.write(`\n${text}\n`);
}

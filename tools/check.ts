// What must hold before a commit: types, lint, format, and the direction of imports.
import { join } from 'node:path';
import { ROOT, runCommand } from './run-command.ts';

export interface CheckSummary {
  readonly passed: number;
  readonly failed: number;
}

const bin = (name: string): string => join(ROOT, 'node_modules', '.bin', name);
const CODE = ['src', 'test', 'bench', 'tools', 'examples'];

const CHECKS = [
  { name: 'types', command: bin('tsc'), args: ['-p', '.'] },
  { name: 'lint', command: bin('oxlint'), args: ['--quiet', ...CODE] },
  { name: 'format', command: bin('oxfmt'), args: ['--check', ...CODE] },
] as const;

const ARCHITECTURE = {
  name: 'architecture',
  command: process.execPath,
  args: ['--test', '--test-isolation=none', 'test/architecture.test.ts'],
} as const;

/** Runs the checks side by side; prints one line for each, and the output of those that failed. */
export async function runChecks(options: { readonly withArchitecture: boolean }): Promise<CheckSummary> {
  const checks = options.withArchitecture ? [...CHECKS, ARCHITECTURE] : CHECKS;
  const outcomes = await Promise.all(
    checks.map(async (check) => {
      const startedAt = performance.now();
      const { exitCode, output } = await runCommand(check.command, check.args);
      return { name: check.name, hasPassed: exitCode === 0, output, seconds: (performance.now() - startedAt) / 1000 };
    }),
  );
  for (const { name, hasPassed, output, seconds } of outcomes) {
    process.stdout.write(`${hasPassed ? '✔' : '✖'} ${name} (${seconds.toFixed(1)} s)\n`);
    if (!hasPassed) process.stdout.write(`${output.trimEnd()}\n`);
  }
  const passed = outcomes.filter((outcome) => outcome.hasPassed).length;
  return { passed, failed: outcomes.length - passed };
}

if (import.meta.main) {
  const { failed } = await runChecks({ withArchitecture: true });
  process.exitCode = failed === 0 ? 0 : 1;
}

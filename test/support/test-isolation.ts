// The strongest cage that this machine can give: the suite runs in it, so that it passes where bubblewrap is missing, too.
import type { IsolationLevel } from '../../src/policy/index.ts';
import { createCage } from '../../src/workers/index.ts';

const STRONGEST_FIRST = ['strict', 'process'] as const;

export const TEST_ISOLATION: IsolationLevel = await strongestLevel();

async function strongestLevel(): Promise<IsolationLevel> {
  for (const level of STRONGEST_FIRST) {
    try {
      await createCage({ level, python: process.env['DAVY_PYTHON'] ?? 'python3' });
      return level;
    } catch (error) {
      process.stderr.write(`The tests cannot use isolation=${level}: ${(error as Error).message}\n`);
    }
  }
  return 'none';
}

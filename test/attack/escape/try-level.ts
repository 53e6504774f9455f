// Asks for one level of isolation where it is run, and probes what it got: `node try-level.ts LEVEL [PYTHON]`. JSON on stdout.
import { Fault } from '../../../src/kernel/index.ts';
import type { IsolationLevel } from '../../../src/policy/index.ts';
import { createCage, runBootProbes } from '../../../src/workers/index.ts';

export type Trial =
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | {
      readonly kind: 'given';
      readonly hits: readonly string[];
      readonly tried: number;
      readonly degraded: readonly string[];
    };

const [level, python] = process.argv.slice(2) as [IsolationLevel, string | undefined];
process.stdout.write(JSON.stringify(await trial()));

async function trial(): Promise<Trial> {
  try {
    const cage = await createCage({ level });
    const { hits, blocked } = await runBootProbes(cage, { python: python ?? '/usr/bin/python3' });
    return {
      kind: 'given',
      hits: hits.map(({ id }) => id),
      tried: hits.length + blocked.length,
      degraded: cage.plan.degraded,
    };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { kind: 'refused', code: error.code, message: error.message };
  }
}

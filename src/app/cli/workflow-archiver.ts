// The `torch-workflow-archiver` command (surface spec 8.8). The Python package that scripts import does the work.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { EXIT } from './io.ts';

/** Three folders up from src/app/cli and from dist/app/cli alike. */
const PYTHON_PACKAGES = join(import.meta.dirname, '../../../python');
const PROGRAM =
  'import sys; sys.path.append(sys.argv.pop(1)); import workflow_archiver as w; w.generate_workflow_archive()';

/** Returns the exit status: 1 where no archive was written, 2 for wrong usage, as argparse has it. */
export async function main(args: readonly string[]): Promise<number> {
  // Isolated: the working directory's files must not stand in for modules of the standard library.
  const child = spawn('python3', ['-IB', '-c', PROGRAM, PYTHON_PACKAGES, ...args], { stdio: 'inherit' });
  try {
    const [status] = (await once(child, 'exit')) as [number | null];
    return status ?? EXIT.failed;
  } catch (cause) {
    process.stderr.write(`torch-workflow-archiver needs python3: ${(cause as Error).message}\n`);
    return EXIT.failed;
  }
}

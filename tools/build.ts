// `npm run build`: src as JavaScript in dist, which is what the published package runs.
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, runCommand } from './run-command.ts';

const dist = join(ROOT, 'dist');
await rm(dist, { recursive: true, force: true });
const { exitCode, output } = await runCommand(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json']);
process.stdout.write(output);
// tsc copies no files that are not code.
await cp(join(ROOT, 'src'), dist, { recursive: true, filter: (path) => !/\.ts$/.test(path) });
process.exitCode = exitCode;

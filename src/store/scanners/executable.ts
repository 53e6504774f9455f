// Any program that is given a path and prints a JSON object. No shell, no environment, no terminal, no time to spare.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { parseVerdict, type VerdictField } from './json-verdict.ts';
import type { Scanner } from './scanner.ts';

export interface ExecutableOptions extends VerdictField {
  /** Absolute path of the program, then its arguments; `{file}` stands for the file's path. */
  readonly argv: readonly string[];
}

const FILE = '{file}';
/** A verdict is a line; a report with one finding for every tensor is a few hundred KB. */
const MAX_OUTPUT_BYTES = 1024 * 1024;

export function createExecutableScanner({ argv, ...verdict }: ExecutableOptions): Scanner {
  const [program, ...args] = argv;
  return {
    async greet() {
      await access(program!, constants.X_OK);
      return program!;
    },
    async scan(file, signal) {
      signal.throwIfAborted();
      const child = spawn(
        program!,
        args.map((arg) => arg.replaceAll(FILE, () => file.path)),
        // A group of its own, so that its children end with it. `/`: nothing of ours, and nothing to import from.
        { cwd: '/', env: {}, detached: true, stdio: ['ignore', 'pipe', 'ignore'] },
      );
      const killGroup = (): void => {
        try {
          if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
        } catch {
          // The group is gone already.
        }
      };
      signal.addEventListener('abort', killGroup, { once: true });
      const pieces: Buffer[] = [];
      let size = 0;
      child.stdout.on('data', (piece: Buffer) => {
        size += piece.length;
        if (size <= MAX_OUTPUT_BYTES) pieces.push(piece);
        else killGroup();
      });
      try {
        const [status, by] = (await once(child, 'close')) as [number | null, string | null];
        if (signal.aborted) return { kind: 'unanswered', why: 'The program took too long.' };
        if (size > MAX_OUTPUT_BYTES) return { kind: 'unanswered', why: 'The program printed too much.' };
        // 1 is what scanners end with when they found something.
        if (status !== 0 && status !== 1) return { kind: 'unanswered', why: `The program ended with ${by ?? status}.` };
        const found = parseVerdict(Buffer.concat(pieces).toString('utf8'), verdict);
        if (found.kind === 'clean' && status !== 0) {
          return { kind: 'unanswered', why: 'The program printed a clean verdict and ended with status 1.' };
        }
        return found;
      } finally {
        signal.removeEventListener('abort', killGroup);
        killGroup();
      }
    },
  };
}

// The command line's surroundings as values, so that commands are tested without a process of their own.
import type { Readable } from 'node:stream';
import { Fault, toFault } from '../../kernel/index.ts';

export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

export interface Output {
  /** `done` is called when the chunk has left, or never will. */
  write(chunk: string | Uint8Array, done?: () => void): unknown;
  readonly isTTY?: boolean;
}

export function processIo(): Io {
  const { stdin, stdout, stderr, env } = process;
  for (const stream of [stdout, stderr]) stream.on('error', ignoreClosedPipe);
  return { stdin, stdout, stderr, env, cwd: process.cwd() };
}

/** Whoever read our output has left (`davy models list | head`, a harness that saw its line): no reason to end a server. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

/** What the shell sees; documented in `davy --help`. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const;

/** Runs one command: its exit status, or its failure said on stderr in the words of the Fault. */
export async function exitStatus(io: Io, command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (thrown) {
    const fault = toFault(thrown);
    io.stderr.write(`${thrown instanceof Fault ? fault.message : unforeseen(io, thrown)}\n`);
    if (fault.code === 'usage') return EXIT.usage;
    return fault.code === 'server_unreachable' ? EXIT.unreachable : EXIT.failed;
  }
}

/** A file that cannot be read is not our bug; the rest is, and whoever reports it needs the details. */
function unforeseen(io: Io, thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if ('syscall' in thrown) return systemMessage(thrown as NodeJS.ErrnoException);
  if (io.env['DAVY_DEBUG']) return thrown.stack ?? thrown.message;
  return `This is a bug in Davy: ${thrown.message}\nWith DAVY_DEBUG=1 it says where; please report that.`;
}

/** "/x/y: no such file or directory" instead of "ENOENT: no such file or directory, realpath '/x/y'". */
export function systemMessage(error: NodeJS.ErrnoException): string {
  const reason = error.message.replace(/^[A-Z]+: /, '').replace(/, [^,]*$/s, '');
  return error.path === undefined ? error.message : `${error.path}: ${reason}`;
}

const FIRST_WORD_MS = 1000;
const NEXT_WORD_MS = 10_000;

/** Says on stderr what is being waited for, after one second and then every ten; silent for anything quicker. */
export async function withProgress<T>(io: Io, doing: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const speak = (): void => {
    io.stderr.write(`${doing} … ${Math.round((performance.now() - startedAt) / 1000)} s\n`);
    timer = setTimeout(speak, NEXT_WORD_MS);
  };
  timer = setTimeout(speak, FIRST_WORD_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

// Runs one command of the toolchain and gives back its exit status and what it printed.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');

export interface CommandOutcome {
  readonly exitCode: number;
  /** stdout and stderr, in the order they arrived. */
  readonly output: string;
}

export interface CommandOptions {
  /** Default: the repository root. */
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** After it the command is killed; default: never. */
  readonly timeoutMs?: number;
  /** Shows the output while it arrives as well as collecting it. */
  readonly isLive?: boolean;
}

/** Starts `command`. Never rejects: a command that cannot start has exit code 127. */
export function runCommand(
  command: string,
  args: readonly string[],
  { cwd = ROOT, env = process.env, timeoutMs = 0, isLive = false }: CommandOptions = {},
): Promise<CommandOutcome> {
  const { promise, resolve } = Promise.withResolvers<CommandOutcome>();
  const child = spawn(command, args, {
    cwd,
    env,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  for (const [stream, terminal] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (isLive) terminal.write(chunk);
    });
  }
  const output = (): string => Buffer.concat(chunks).toString();
  child.on('error', (error) => resolve({ exitCode: 127, output: `${command}: ${error.message}\n` }));
  child.on('close', (code) => resolve({ exitCode: code ?? 1, output: output() }));
  const stopChild = (signal: NodeJS.Signals): boolean => child.kill(signal);
  process.once('SIGTERM', stopChild);
  process.once('SIGINT', stopChild);
  child.on('close', () => {
    process.off('SIGTERM', stopChild);
    process.off('SIGINT', stopChild);
  });
  return promise;
}

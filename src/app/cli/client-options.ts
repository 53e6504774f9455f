// The flags by which client commands find the running server.
import { type Command, InvalidArgumentError } from 'commander';

export function addServerOptions(command: Command): Command {
  return command
    .option('--inference <url>', 'inference listener', 'http://127.0.0.1:8080')
    .option('--management <url>', 'management listener', 'http://127.0.0.1:8081')
    .option('--token-file <file>', 'key_file.json, or a file with one key (default: DAVY_TOKEN, then ./key_file.json)')
    .option('--ca <file>', 'PEM certificate authority for https');
}

/** For options that take a whole number. */
export function count(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Not a whole number.');
}

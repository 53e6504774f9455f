// `davy migrate`: what stays, what differs and what to write instead, for a directory that TorchServe is started in.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Remark, RemarkKind } from '../../config/index.ts';
import type { Migration } from '../migrate/read-directory.ts';
import { Fault } from '../../kernel/index.ts';
import { type Io, withProgress } from './io.ts';
import { printable } from './table.ts';

export interface MigrateFlags {
  readonly command?: string;
  readonly json?: boolean;
}

/** What the shell sees: a comparison has three outcomes, as a scan has. */
const MIGRATE_EXIT = { same: 0, toChange: 1, failed: 2 } as const;

export function addMigrateOptions(command: Command): Command {
  return command
    .argument('[directory]', 'where TorchServe is started: config.properties, models, logs', '.')
    .option('--command <line>', 'the line that starts it, in quotes')
    .option('--json', 'for machines')
    .addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  davy migrate /srv/torchserve
  davy migrate . --command "torchserve --start --ncs --model-store models --models all --ts-config ts.properties"

Nothing is changed, started or run; archives are unpacked into a private place and removed again.
Exit status: 0 nothing to change, 1 something to change, 2 something could not be read.`;

export async function migrate(io: Io, directory: string, { command, json }: MigrateFlags): Promise<number> {
  const { readMigration } = await import('../migrate/read-directory.ts');
  const root = resolve(io.cwd, directory);
  const onModel = (name: string): void => {
    if (io.stderr.isTTY) io.stderr.write(`\r\x1b[Kreading ${printable(name)}`);
  };
  try {
    const reading = readMigration(root, command, onModel, new AbortController().signal);
    const migration = await withProgress(io, 'Reading', reading);
    if (io.stderr.isTTY) io.stderr.write('\r\x1b[K');
    io.stdout.write(json ? `${JSON.stringify(migration, null, 2)}\n` : asText(migration));
    return migration.remarks.some(({ kind }) => kind === 'change') ? MIGRATE_EXIT.toChange : MIGRATE_EXIT.same;
  } catch (thrown) {
    if (!(thrown instanceof Fault) && (thrown as NodeJS.ErrnoException).code === undefined) throw thrown;
    io.stderr.write(`${printable((thrown as Error).message)}\n`);
    return MIGRATE_EXIT.failed;
  }
}

const TITLES: Readonly<Record<RemarkKind, string>> = {
  change: 'To change',
  note: 'Different, with nothing to do',
  same: 'The same',
};

function asText({ directory, remarks }: Migration): string {
  const sections = (['change', 'note', 'same'] as const).map((kind) => {
    const members = remarks.filter((remark) => remark.kind === kind);
    return members.length === 0 ? '' : `\n${TITLES[kind]} (${members.length})\n${members.map(paragraph).join('')}`;
  });
  const changes = remarks.filter(({ kind }) => kind === 'change').length;
  const verdict = changes === 0 ? 'Nothing to change.' : `${changes} to change.`;
  return `${printable(directory)}\n${sections.join('')}\n${verdict}\n`;
}

function paragraph({ where, subject, message, write = [] }: Remark): string {
  const lines = write.map((line) => `      write: ${printable(line)}\n`).join('');
  return `  ${printable(where)}  ${printable(subject)}\n      ${printable(message)}\n${lines}`;
}

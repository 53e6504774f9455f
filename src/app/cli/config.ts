// `davy config`: every effective setting and where it came from.
import type { EffectiveValue, Origin, Settings } from '../../config/index.ts';
import { EXIT, type Io } from './io.ts';
import { type ServeFlags, readSettings } from './read-settings.ts';
import { formatTable } from './table.ts';

export interface ConfigOptions extends ServeFlags {
  readonly json?: boolean;
  /** Only what somebody set. */
  readonly changed?: boolean;
}

export function showConfig(io: Io, options: ConfigOptions): number {
  const settings = readSettings(io, options);
  const values = settings.effective().filter(({ origin }) => !options.changed || origin.source !== 'default');
  io.stdout.write(options.json ? formatJson(settings, values) : formatText(settings, values));
  // In JSON they are members; beside a table they would break `| column`.
  if (!options.json) for (const line of settings.notices) io.stderr.write(`note: ${line}\n`);
  return EXIT.ok;
}

function formatText(settings: Settings, values: readonly EffectiveValue[]): string {
  const rows = values.map(({ key, value, origin }) => [key, shorten(value ?? '-'), originText(origin)]);
  const table = rows.length === 0 ? 'Every key has its default.\n' : formatTable(['KEY', 'VALUE', 'FROM'], rows);
  return `configuration file: ${settings.server.configFile ?? 'none'}\n${table}`;
}

/** A snapshot's models are thousands of characters; `--json` has them. */
const MAX_CELL_CHARS = 72;
const shorten = (text: string): string =>
  text.length > MAX_CELL_CHARS ? `${text.slice(0, MAX_CELL_CHARS - 1)}…` : text;

function formatJson(settings: Settings, values: readonly EffectiveValue[]): string {
  const document = {
    configFile: settings.server.configFile ?? null,
    settings: values.map(({ key, value, origin }) => ({ key, value: value ?? null, ...origin })),
    notices: settings.notices,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

const originText = ({ source, where }: Origin): string => (where === '' ? source : where);

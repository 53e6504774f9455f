// Decides which source each value comes from: file < flags < environment, with TorchServe's guards (surface spec 7.3).
import { Fault } from '../kernel/index.ts';
import { environmentName } from './key.ts';
import { KEY_NAMES, KEYS, type KeyName, isKeyName } from './keys/index.ts';
import { nearMiss } from './near-miss.ts';
import { type PropertiesEntry, parseProperties, substituteEnvironment } from './properties.ts';
import type { Origin } from './settings.ts';

export interface ConfigFile {
  /** As shown in messages: `config.properties`. */
  readonly name: string;
  /** Decoded as ISO-8859-1. */
  readonly text: string;
}

export interface Flag {
  /** As typed: `--model-store`. */
  readonly flag: string;
  readonly text: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Sources {
  readonly file?: ConfigFile;
  /** Restores what a former run had, except security keys: those still come from `file` (design: snapshots set no security key). */
  readonly snapshot?: ConfigFile;
  readonly flags?: ReadonlyMap<KeyName, Flag>;
  readonly env: Environment;
}

export interface GivenText {
  readonly text: string;
  readonly origin: Origin;
}

export interface Resolved {
  /** Keys that somebody set; all others have their default. */
  readonly given: ReadonlyMap<KeyName, GivenText>;
  readonly unknown: ReadonlyMap<string, string>;
  readonly notices: readonly string[];
}

export function resolveSources({ file, snapshot, flags, env }: Sources): Resolved {
  const given = new Map<KeyName, GivenText>();
  const unknown = new Map<string, string>();
  const notices: string[] = [];
  const outvoted = new Map<KeyName, string>();

  for (const [layer, isSnapshot] of [
    [file, false],
    [snapshot, true],
  ] as const) {
    if (layer === undefined) continue;
    const ignored: string[] = [];
    for (const entry of parseProperties(layer.text, layer.name)) {
      const where = `${layer.name}:${entry.line}`;
      if (!isKeyName(entry.key)) {
        judgeUnknown(entry, where, isSnapshot, notices);
        unknown.set(entry.key, entry.value);
        continue;
      }
      const { isSecurity } = KEYS[entry.key];
      if (isSnapshot && isSecurity) {
        ignored.push(entry.key);
        continue;
      }
      // Beside a snapshot the file keeps its say on security only (surface spec 7.2: otherwise it is not read).
      const text = substituteEnvironment(entry.value, env, `${entry.key} at ${where}`);
      if (!isSnapshot && snapshot !== undefined && !isSecurity) {
        outvoted.set(entry.key, text);
        continue;
      }
      given.set(entry.key, { text, origin: { source: isSnapshot ? 'snapshot' : 'file', where } });
    }
    if (ignored.length > 0) {
      notices.push(`${layer.name} is a snapshot and cannot set ${ignored.join(', ')}; ${SNAPSHOT_REMEDY}`);
    }
  }

  if (file !== undefined && snapshot !== undefined) notices.push(...outvotedBy(snapshot, file, outvoted, given));

  const fromFile = new Map(given);
  for (const [key, { flag, text }] of flags ?? []) given.set(key, { text, origin: { source: 'flag', where: flag } });
  applyEnvironment(given, fromFile, env, notices);
  return { given, unknown, notices };
}

const SNAPSHOT_REMEDY = 'give these in config.properties or as flags.';

/** TorchServe says nothing here, and many a changed config.properties was never read. */
function outvotedBy(
  snapshot: ConfigFile,
  file: ConfigFile,
  outvoted: ReadonlyMap<KeyName, string>,
  given: ReadonlyMap<KeyName, GivenText>,
): readonly string[] {
  const differing = [...outvoted].filter(([key, text]) => (given.get(key)?.text ?? KEYS[key].defaultText) !== text);
  if (differing.length === 0) return [];
  return [
    `The snapshot ${snapshot.name} of the last run counts, not ${file.name}, for ` +
      `${differing.map(([key]) => key).join(', ')}; start once with --no-config-snapshots to read the file instead.`,
  ];
}

function applyEnvironment(
  given: Map<KeyName, GivenText>,
  fromFile: ReadonlyMap<KeyName, GivenText>,
  env: Environment,
  notices: string[],
): void {
  const isOn = (key: KeyName): boolean => fromFile.get(key)?.text.toLowerCase() === 'true';
  const isAllowed = isOn('enable_envvars_config');
  const ignored: string[] = [];
  for (const key of KEY_NAMES) {
    const name = environmentName(key, KEYS[key]);
    const text = name === undefined ? undefined : env[name];
    if (name === undefined || text === undefined) continue;
    const isGuarded = key === 'allowed_urls' && !isOn('use_env_allowed_urls');
    if (isAllowed && isGuarded) {
      notices.push(`${name} is ignored: use_env_allowed_urls=true is not in the configuration file.`);
    } else if (isAllowed || KEYS[key].isEnvAlwaysRead) {
      given.set(key, { text, origin: { source: 'env', where: name } });
    } else ignored.push(name);
  }
  if (ignored.length > 0) {
    notices.push(`${ignored.join(', ')} ignored: enable_envvars_config=true is not in the configuration file.`);
  }
}

/** Unknown keys are legal (TorchServe's plugins read them), but a typo must not turn into a default in silence. */
function judgeUnknown(entry: PropertiesEntry, where: string, isSnapshot: boolean, notices: string[]): void {
  const meant = isSnapshot ? undefined : nearMiss(entry.key, KEY_NAMES);
  const shown = JSON.stringify(entry.key).slice(1, -1);
  if (meant !== undefined) {
    throw new Fault('invalid_configuration', `Unknown key ${shown} at ${where}. Did you mean ${meant}?`);
  }
  notices.push(`Unknown key ${shown} at ${where} is ignored.`);
}

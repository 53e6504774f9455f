// A `torchserve --start …` command line, taken apart: which keys its flags stand for, and which of them Davy lacks.
import { isKeyName, judgeKey, type KeyName, type Remark } from '../../config/index.ts';
import { Fault } from '../../kernel/index.ts';

export interface StartCommand {
  /** Variables set in front of the command. */
  readonly env: ReadonlyMap<string, string>;
  /** `--ts-config`. */
  readonly configFile: string | undefined;
  readonly usesSnapshots: boolean;
  /** Each flag as the text that its key would have in the file. */
  readonly values: ReadonlyMap<KeyName, string>;
  readonly remarks: readonly Remark[];
}

export const NO_COMMAND: StartCommand = {
  env: new Map(),
  configFile: undefined,
  usesSnapshots: true,
  values: new Map(),
  remarks: [],
};

const SWITCHES: Readonly<Record<string, readonly [KeyName, string] | null>> = {
  '--start': null,
  '--foreground': null,
  '--ncs': ['config_snapshots', 'false'],
  '--no-config-snapshots': ['config_snapshots', 'false'],
  '--dt': ['disable_token_authorization', 'true'],
  '--disable-token-auth': ['disable_token_authorization', 'true'],
  '--enable-model-api': ['enable_model_api', 'true'],
};

const VALUED: Readonly<Record<string, KeyName>> = {
  '--model-store': 'model_store',
  '--workflow-store': 'workflow_store',
  '--models': 'load_models',
  '--log-config': 'log_config',
  '--cpp-log-config': 'cpp_log_config',
  '--ppath': 'plugins_path',
  '--plugins-path': 'plugins_path',
};

/** Throws `usage` when the text is no start command. */
export function parseStartCommand(text: string, cwd: string): StartCommand {
  const words = shellWords(text);
  const at = words.findIndex((word) => /(^|\/)torchserve$/.test(word));
  if (at < 0) throw new Fault('usage', '--command must be a torchserve command line, in quotes.');
  const env = new Map(
    words.slice(0, at).flatMap((word) => {
      const [, name, value] = /^([A-Za-z_]\w*)=([^]*)$/.exec(word) ?? [];
      return name === undefined ? [] : [[name, value ?? ''] as const];
    }),
  );
  const values = new Map<KeyName, string>();
  const remarks: Remark[] = [];
  let configFile: string | undefined;
  for (const { flag, given } of flagsOf(words.slice(at + 1))) {
    if (flag === '--ts-config') configFile = given[0];
    else if (flag in VALUED) values.set(VALUED[flag] as KeyName, given.join(','));
    else if (flag in SWITCHES) {
      const meaning = SWITCHES[flag];
      if (meaning) values.set(...meaning);
    } else remarks.push(unknownFlag(flag));
  }
  for (const [key, value] of values) {
    const remark = isKeyName(key) ? judgeKey(key, value, { where: 'start command', cwd, values }) : undefined;
    if (remark !== undefined) remarks.push(remark);
  }
  return { env, configFile, usesSnapshots: values.get('config_snapshots') !== 'false', values, remarks };
}

const unknownFlag = (flag: string): Remark => ({
  kind: 'change',
  where: 'start command',
  subject: flag,
  message: 'Davy’s torchserve command does not know this flag. See: torchserve --help',
  write: ['(leave it out)'],
});

function flagsOf(words: readonly string[]): readonly { readonly flag: string; readonly given: string[] }[] {
  const flags: { flag: string; given: string[] }[] = [];
  for (const word of words) {
    if (!word.startsWith('--')) {
      flags.at(-1)?.given.push(word);
      continue;
    }
    const equals = word.indexOf('=');
    flags.push(
      equals < 0 ? { flag: word, given: [] } : { flag: word.slice(0, equals), given: [word.slice(equals + 1)] },
    );
  }
  return flags;
}

/** Words as a shell splits them, without expansions: quotes, backslashes, blanks. Stops at what starts another command. */
export function shellWords(text: string): readonly string[] {
  const words: string[] = [];
  const pattern = /\s*(?:([;&|<>].*)|((?:"(?:\\[^]|[^"\\])*"|'[^']*'|\\[^]|[^\s"'\\;&|<>])+))/gy;
  for (const [, end, word] of text.matchAll(pattern)) {
    if (end !== undefined || word === undefined) break;
    words.push(
      word.replace(/"((?:\\[^]|[^"\\])*)"|'([^']*)'|\\([^])/g, (_, double?: string, single?: string, one?: string) =>
        double === undefined ? (single ?? (one === '\n' ? '' : (one ?? ''))) : double.replace(/\\([$`"\\])/g, '$1'),
      ),
    );
  }
  return words.filter((word) => word !== '');
}

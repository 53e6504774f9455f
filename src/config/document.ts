// docs/configuration.md, from the key table.
import { FEATURES, featureStatus } from './features.ts';
import { environmentName, type Key } from './key.ts';
import { KEY_GROUPS } from './keys/index.ts';

/** The whole page. Written by tools/config-docs.ts; a test compares the two. */
export function documentKeys(): string {
  return `${INTRODUCTION}\n${KEY_GROUPS.map(({ title, keys }) => section(title, keys)).join('\n')}`;
}

const INTRODUCTION = `# Configuration

<!-- Generated from src/config/keys by tools/config-docs.ts. Do not edit. -->

Davy reads TorchServe's \`config.properties\` (Java properties: \`key=value\`, \`#\` comments, \`\\\` continues a line; blanks at
the end of a value count). \`$$NAME$$\` in a value is replaced by the environment variable NAME. \`davy config\` prints every
effective value and where it came from.

**Which file**: \`TS_CONFIG_FILE\`, else \`--ts-config\` (\`--config\` of \`davy serve\`), else the newest snapshot in
\`logs/config\` together with the security keys of \`./config.properties\`, else \`./config.properties\`. The last two are read only
if they belong to this user (or root) and nobody else can write them.

**Which value wins**: file, then flags, then environment. The environment counts only if the file says
\`enable_envvars_config=true\` (marked *always* below: even without it).

**Typos**: an unknown key is reported and ignored; one that is nearly a known key stops the start and names the line.

Keys marked **own** are Davy's; all others are TorchServe's. A **security** key cannot be set by a snapshot.
`;

function section(title: string, keys: Readonly<Record<string, Key<unknown>>>): string {
  const rows = Object.entries(keys).map(([name, key]) => row(name, key));
  return `## ${title}\n\n| Key | Default | Environment | Value | Meaning |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function row(name: string, key: Key<unknown>): string {
  const env = environmentName(name, key);
  const cells = [
    `\`${name}\``,
    key.defaultText === undefined || key.defaultText === '' ? '–' : `\`${key.defaultText}\``,
    env === undefined ? '–' : `\`${env}\`${key.isEnvAlwaysRead ? ' *always*' : ''}`,
    key.syntax,
    [key.doc, ...marks(key)].join(' '),
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function marks(key: Key<unknown>): readonly string[] {
  const status = featureStatus(key.feature);
  const title = key.feature === undefined ? '' : FEATURES[key.feature].title;
  return [
    ...(key.isOwn ? ['**own**'] : []),
    ...(key.isSecurity ? ['**security**'] : []),
    ...(status === 'later' ? [`*No effect yet: needs ${title}.*`] : []),
    ...(status === 'never' ? [`*Accepted and ignored: belongs to ${title}.*`] : []),
  ];
}

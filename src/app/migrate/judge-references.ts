// What Davy will make of the places that a TorchServe loads models from: names, paths and URLs.
import { isAbsolute, join } from 'node:path';
import type { KeyName, Remark, StartupModel } from '../../config/index.ts';
import { Fault } from '../../kernel/index.ts';
import { parseAllowedUrls } from '../../store/index.ts';

type Values = ReadonlyMap<KeyName, string>;

/** The list of allowed URLs: its entries, and what its absence means here. */
export function judgeSources(values: Values): readonly Remark[] {
  const text = values.get('allowed_urls');
  if (text !== undefined) {
    const problem = problemOf(() => parseAllowedUrls([text]));
    if (problem === undefined) return [];
    return [{ kind: 'change', where: 'config.properties', subject: 'allowed_urls', message: problem }];
  }
  const clientsRegister = values.get('enable_model_api')?.toLowerCase() === 'true';
  return [
    {
      kind: clientsRegister ? 'change' : 'note',
      where: 'config.properties',
      subject: 'allowed_urls',
      message: `Not set: no model is loaded from a URL (TorchServe allows every one).${
        clientsRegister ? ' Clients may register models: name the hosts they use, or write it empty.' : ''
      }`,
      ...(clientsRegister && { write: ['allowed_urls=https://HOST/.*', 'allowed_urls='] }),
    },
  ];
}

/** `stores` are absolute; `exists` asks the disk. `restored` comes from a snapshot and then replaces `load_models`. */
export function judgeReferences(
  values: Values,
  restored: readonly StartupModel[],
  stores: readonly string[],
  exists: (path: string) => boolean,
): readonly Remark[] {
  const text = values.get('load_models') ?? '';
  const listed = text.toLowerCase() === 'all' ? [] : text.split(',').filter((entry) => entry !== '');
  const remarks = listed.flatMap((entry) => judgeEntry(entry, values, stores, exists));
  for (const { name, version, location } of restored) {
    if (isUrl(location) || stores.length === 0 || stores.some((store) => exists(join(store, location)))) continue;
    remarks.push({
      kind: 'change',
      where: 'snapshot',
      subject: `${name} ${version}`,
      message: `Its archive ${location} is not in the model store; the server does not start (nor did TorchServe).`,
      write: ['start once with --no-config-snapshots'],
    });
  }
  return remarks;
}

function judgeEntry(
  entry: string,
  values: Values,
  stores: readonly string[],
  exists: (path: string) => boolean,
): readonly Remark[] {
  const location = entry.slice(entry.indexOf('=') + 1);
  const change = (message: string, ...write: string[]): readonly Remark[] => [
    { kind: 'change', where: 'load_models', subject: entry, message, ...(write.length > 0 && { write }) },
  ];
  if (entry.startsWith(' ')) {
    return change('The blank after the comma belongs to the name, as in TorchServe.', entry.trim());
  }
  if (isUrl(location)) {
    const allowed = values.get('allowed_urls') ?? '';
    if (problemOf(() => parseAllowedUrls([allowed])) !== undefined) return [];
    if (parseAllowedUrls([allowed]).match(location) !== null) return [];
    const origin = URL.parse(location)?.origin;
    const pattern = origin === undefined || origin === 'null' ? 'https://HOST/.*' : `${origin}/.*`;
    return change('No entry of allowed_urls allows this URL.', `allowed_urls=${pattern}`);
  }
  if (stores.length === 0) return [];
  if (isAbsolute(location)) {
    if (stores.some((store) => location.startsWith(`${store}/`))) return [];
    const [directory] = /^.*(?=\/)/.exec(location) ?? [''];
    return change(
      'It lies outside the model store. Move it there, or make its directory a second store.',
      `model_store=${[...stores, directory].join(',')}`,
    );
  }
  const base = location.slice(location.lastIndexOf('/') + 1);
  const isThere = stores.some((store) => exists(join(store, location)) || exists(join(store, base)));
  return isThere ? [] : change('There is no such file or directory in the model store.');
}

const isUrl = (text: string): boolean => /^[a-z][a-z0-9+.-]*:/i.test(text);

function problemOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown.message.replaceAll('\n', ' ');
    throw thrown;
  }
}

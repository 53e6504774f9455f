// What Davy will make of the newest snapshot of a TorchServe: its models come back, its security settings do not.
import { KEYS, type KeyName, isKeyName } from '../keys/index.ts';
import { parseProperties } from '../properties.ts';
import type { ConfigFile } from '../resolve.ts';
import type { StartupModel } from '../settings.ts';
import { parseSnapshotModels } from '../startup-models.ts';
import type { Remark } from './remark.ts';

export interface JudgedSnapshot {
  readonly remarks: readonly Remark[];
  readonly models: readonly StartupModel[];
}

/**
 * `values` are those of config.properties and flags, which are read beside the snapshot. Throws `invalid_configuration`
 * for a snapshot that a start could not read either.
 */
export function judgeSnapshot(file: ConfigFile, values: ReadonlyMap<KeyName, string>): JudgedSnapshot {
  const lost: string[] = [];
  let models: readonly StartupModel[] = [];
  for (const { key, value, line } of parseProperties(file.text, file.name)) {
    if (!isKeyName(key)) continue;
    if (key === 'model_snapshot') {
      const startup = parseSnapshotModels(value, `${file.name}:${line}`);
      models = startup.kind === 'snapshot' ? startup.models : [];
    }
    const { isSecurity, defaultText } = KEYS[key];
    if (isSecurity && (values.get(key) ?? defaultText) !== value)
      lost.push(`${key}=${KEYS[key].isSecret ? '…' : value}`);
  }
  const remarks: Remark[] = [
    {
      kind: 'same',
      where: file.name,
      subject: models.map(({ name, version }) => `${name} ${version}`).join(', ') || 'no models',
      message: 'The next start restores these models, with their workers and default versions.',
    },
  ];
  if (lost.length > 0) {
    remarks.push({
      kind: 'change',
      where: file.name,
      subject: 'security keys',
      message: 'A snapshot sets no security key. Give those that you want in config.properties or as flags.',
      write: lost,
    });
  }
  return { remarks, models };
}

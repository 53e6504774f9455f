// What the operator should read at start beside what the rooms say themselves: dangerous values, keys that do nothing here.
import { FEATURES, featureStatus } from './features.ts';
import { exposedListeners } from './exposure.ts';
import { KEY_NAMES, KEYS, type Values } from './keys/index.ts';
import type { Resolved } from './resolve.ts';

export function adviseOperator(values: Values, resolved: Resolved): readonly string[] {
  return [...dangers(values), ...outvotedModels(resolved), ...absences(resolved)];
}

function dangers(values: Values): readonly string[] {
  const lines = exposedListeners(values).map(
    ({ key, text }) => `insecure_bind is on: ${key}=${text} sends keys and data over the network unencrypted.`,
  );
  if (values.allowed_urls.some(admitsEverything)) {
    lines.push(
      'Your torchserve instance can access any URL to load models. ' +
        'When deploying to production, make sure to limit the set of allowed_urls in config.properties',
    );
  }
  return lines;
}

/** Surface spec 7.7: with `model_snapshot` only the models it names are loaded. */
function outvotedModels({ given }: Resolved): readonly string[] {
  const asked = given.get('load_models');
  const snapshot = given.get('model_snapshot');
  if (asked === undefined || snapshot === undefined || asked.origin.source === snapshot.origin.source) return [];
  return [
    `${asked.origin.where} is ignored: the models of ${snapshot.origin.where} are loaded; ` +
      'start with --no-config-snapshots to load others.',
  ];
}

/** A host no operator would list. */
const STRANGER = 'http://stranger.invalid/model.mar';
const STRANGER_FILE = 'file:///etc/passwd';

function admitsEverything(pattern: string): boolean {
  const whole = new RegExp(`^(?:${pattern})$`, 'i');
  return [STRANGER, STRANGER.replace('http', 'https'), STRANGER_FILE].some((url) => whole.test(url));
}

function absences({ given }: Resolved): readonly string[] {
  const lines: string[] = [];
  const meaningless: string[] = [];
  for (const key of KEY_NAMES) {
    const { feature, defaultText } = KEYS[key];
    const found = given.get(key);
    if (found === undefined || feature === undefined || found.text === defaultText) continue;
    const status = featureStatus(feature);
    if (status === 'never') meaningless.push(`${key} (${found.origin.where})`);
    if (status !== 'later') continue;
    lines.push(
      `${key} (${found.origin.where}) has no effect yet: this version does not have ${FEATURES[feature].title}.`,
    );
  }
  if (meaningless.length > 0) lines.push(`Without meaning in Davy, ignored: ${meaningless.join(', ')}.`);
  return lines;
}

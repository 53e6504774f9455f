// Sources in, Settings out: reads every key of the table once, checks what spans several keys, freezes the result. Pure.
import { Fault } from '../kernel/index.ts';
import { isSameListener } from './address.ts';
import { adviseOperator } from './advice.ts';
import { assemble, originOf } from './assemble.ts';
import { refuseExposure } from './exposure.ts';
import type { Facts } from './facts.ts';
import { KEY_NAMES, KEYS, type KeyName, type Values } from './keys/index.ts';
import { type Resolved, type Sources, resolveSources } from './resolve.ts';
import type { Settings } from './settings.ts';
import type { ValueSite } from './value.ts';

/** Throws `invalid_configuration`; the first line of the message is TorchServe's where it has one. */
export function loadSettings(sources: Sources, facts: Facts): Settings {
  const resolved = resolveSources(sources);
  const notices = [...resolved.notices];
  const values = readValues(resolved, facts, notices);
  checkAcrossKeys(values, resolved, facts);
  refuseExposure(values, resolved);
  notices.push(...adviseOperator(values, resolved));
  return freezeDeep(assemble(values, resolved, sources, facts, notices));
}

function readValues(resolved: Resolved, facts: Facts, notices: string[]): Values {
  const values: Partial<Record<KeyName, unknown>> = {};
  for (const key of KEY_NAMES) {
    const given = resolved.given.get(key);
    const site: ValueSite = {
      key,
      origin: originOf(key, resolved),
      cwd: facts.cwd,
      warn: (line) => void notices.push(line),
    };
    values[key] = KEYS[key].read(given?.text ?? KEYS[key].defaultText, site);
  }
  // Every key of the table was read with its own parser just above.
  return values as Values;
}

function checkAcrossKeys(values: Values, resolved: Resolved, { pathExists }: Facts): void {
  const setBy = (key: KeyName): string => `Set by ${key} at ${resolved.given.get(key)?.origin.where ?? 'its default'}`;
  const addresses = [values.inference_address, values.management_address, values.metrics_address];
  if (!values.use_native_io && addresses.some(({ kind }) => kind === 'unix')) {
    throw new Fault(
      'invalid_configuration',
      `unix domain socket requires use_native_io set to true.\n${setBy('use_native_io')}.`,
    );
  }
  const home = values.model_server_home;
  if (home !== undefined && !pathExists(home)) {
    throw new Fault(
      'invalid_configuration',
      `Model server home not exist: ${home}\n${setBy('model_server_home')}; remove the line, nothing here needs it.`,
    );
  }
  if ((values.private_key_file === undefined) !== (values.certificate_file === undefined)) {
    const [given, missing] =
      values.private_key_file === undefined
        ? (['certificate_file', 'private_key_file'] as const)
        : (['private_key_file', 'certificate_file'] as const);
    throw new Fault(
      'invalid_configuration',
      `private_key_file and certificate_file belong together; ${missing} is missing.\n${setBy(given)} alone.`,
    );
  }
  if (values.enable_metrics_api) {
    const twin = (['inference_address', 'management_address'] as const).find((key) =>
      isSameListener(values[key], values.metrics_address),
    );
    if (twin !== undefined) {
      const { text } = values.metrics_address;
      const where = resolved.given.get('metrics_address')?.origin.where ?? 'its default';
      throw new Fault(
        'invalid_configuration',
        `Failed to bind to address: ${text}\nmetrics_address (${where}) must differ from ${twin}.`,
      );
    }
  }
}

/** Maps and patterns are only offered through read-only types; plain objects and arrays are frozen for real. */
function freezeDeep<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) return value;
  for (const member of Object.values(value)) freezeDeep(member);
  return Object.freeze(value);
}

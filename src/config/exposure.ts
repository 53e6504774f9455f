// Clear text leaves the machine only when the operator says so: other than loopback needs TLS or insecure_bind (design section 3).
import { Fault } from '../kernel/index.ts';
import { isExposedInClear, isLoopbackHost } from './address.ts';
import type { KeyName, Values } from './keys/index.ts';
import type { Resolved } from './resolve.ts';

/** Throws for the first listener that would serve a network in clear text. */
export function refuseExposure(values: Values, resolved: Resolved): void {
  if (values.insecure_bind) return;
  const [exposed] = exposedListeners(values);
  if (exposed === undefined) return;
  const where = resolved.given.get(exposed.key)?.origin.where ?? 'its default';
  throw new Fault(
    'invalid_configuration',
    `${exposed.key}=${exposed.text} (${where}) would send keys and data over the network unencrypted.\n` +
      `Use ${exposed.remedy}, stay on 127.0.0.1, or accept the risk with --insecure-bind (insecure_bind=true).`,
  );
}

export interface ExposedListener {
  readonly key: KeyName;
  readonly text: string;
  readonly remedy: string;
}

export function exposedListeners(values: Values): readonly ExposedListener[] {
  const exposed: ExposedListener[] = [];
  for (const key of ['inference_address', 'management_address', 'metrics_address'] as const) {
    if (key === 'metrics_address' && !values.enable_metrics_api) continue;
    const { text } = values[key];
    if (isExposedInClear(values[key])) exposed.push({ key, text, remedy: text.replace(/^http:/i, 'https:') });
  }
  for (const key of ['grpc_inference_address', 'grpc_management_address'] as const) {
    const isClear = values.grpc_enabled && !values.enable_grpc_ssl && !isLoopbackHost(values[key]);
    if (isClear) exposed.push({ key, text: values[key], remedy: 'enable_grpc_ssl=true' });
  }
  return exposed;
}

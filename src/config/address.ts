// Listener addresses: TorchServe's syntax and messages (surface spec 1.2), and the rule about who may listen beyond loopback.
import { Fault } from '../kernel/index.ts';
import type { Address } from './settings.ts';

export type Plane = 'inference' | 'management' | 'metrics';

const SYNTAX = /^(?:((https|http):\/\/([^:^/]+)(?::([0-9]+))?)|unix:(\/.*))$/i;

/** TorchServe refuses 65535 itself as well. */
const PORT_LIMIT = 65_535;

const PORTLESS: Record<Plane, { readonly http: number; readonly https: number }> = {
  inference: { http: 80, https: 443 },
  management: { http: 8081, https: 8444 },
  metrics: { http: 8082, https: 8445 },
};

/** Port 0 asks the system for a free one. Throws `invalid_configuration` with TorchServe's exact words. */
export function parseAddress(text: string, plane: Plane): Address {
  const match = SYNTAX.exec(text);
  if (match === null) throw new Fault('invalid_configuration', `Invalid binding address: ${text}`);
  const [, , schemeText, host, portText, path] = match;
  if (path !== undefined) return { kind: 'unix', path, text };
  const scheme = schemeText?.toLowerCase() === 'https' ? 'https' : 'http';
  const port = portText === undefined ? PORTLESS[plane][scheme] : Number(portText);
  if (port >= PORT_LIMIT) throw new Fault('invalid_configuration', `Invalid port number: ${text}`);
  return { kind: 'tcp', scheme, host: host ?? '', port, text };
}

/** One listener serves both: same kind, host text, port or path; the scheme does not count (surface spec 1.4). */
export function isSameListener(a: Address, b: Address): boolean {
  if (a.kind === 'unix') return b.kind === 'unix' && a.path === b.path;
  if (b.kind === 'unix') return false;
  // Two requests for "any free port" are two listeners.
  return a.host === b.host && a.port === b.port && a.port !== 0;
}

/** Names other than localhost count as the network: what they resolve to is not ours to promise. */
export function isLoopbackHost(host: string): boolean {
  return /^localhost$/i.test(host) || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** True when requests and keys would cross a network unencrypted. */
export function isExposedInClear(address: Address): boolean {
  return address.kind === 'tcp' && address.scheme === 'http' && !isLoopbackHost(address.host);
}

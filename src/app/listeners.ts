// The HTTP listeners, as configured: which doors there are, where they are bound, and how they close together.
import type { Address, Settings } from '../config/index.ts';
import { isLoopbackHost } from '../config/index.ts';
import { systemClock } from '../kernel/index.ts';
import type { Gate } from '../policy/index.ts';
import type { Announcements, ControlPlane, DataPlane, MetricsExposition, TokenRotation } from '../serving/index.ts';
import {
  createCombinedDoor,
  createInferenceDoor,
  createManagementDoor,
  createMetricsDoor,
  DEFAULT_HTTP_OPTIONS,
  openListener,
  type HttpOptions,
  type Listener,
} from '../http/index.ts';
import { loadConfiguredTls } from './tls.ts';
import { SERVER_VERSION } from './version.ts';

export interface ListenerDeps {
  readonly settings: Settings;
  readonly gate: Gate;
  readonly tokens: TokenRotation | undefined;
  readonly dataPlane: DataPlane;
  readonly management: ControlPlane;
  /** The answer of `GET /isolation`. */
  readonly isolation: () => object;
  readonly metrics: MetricsExposition;
  readonly announcements: Announcements;
}

export interface Listeners {
  /** As bound, by plane. A combined listener stands under both names. */
  readonly addresses: Readonly<Partial<Record<'inference' | 'management' | 'metrics', Listener['address']>>>;
  /** Stops accepting; what is in flight is answered within `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export async function openListeners(deps: ListenerDeps): Promise<Listeners> {
  const { settings, announcements } = deps;
  const options = httpOptions(settings);
  const { management } = deps;
  const shared = {
    ...deps,
    options,
    clock: systemClock,
    isHealthy: () => management.isHealthy(),
    soleStartupModel: () => management.soleStartupModel,
  };
  const metrics = settings.metrics.isEnabled ? deps.metrics : undefined;
  const doors = settings.isCombined
    ? ([['inference', settings.inference.address, createCombinedDoor({ ...shared, metrics })]] as const)
    : ([
        ['inference', settings.inference.address, createInferenceDoor(shared)],
        ['management', settings.management.address, createManagementDoor(shared)],
      ] as const);
  const metricsDoor =
    metrics === undefined ? [] : ([['metrics', settings.metrics.address, createMetricsDoor(shared)]] as const);
  const open: { readonly plane: 'inference' | 'management' | 'metrics'; readonly listener: Listener }[] = [];
  try {
    for (const [plane, address, door] of [...doors, ...metricsDoor]) {
      const tls =
        address.kind === 'tcp' && address.scheme === 'https'
          ? await loadConfiguredTls(settings, announcements, address.text, 'keystore')
          : undefined;
      const listener = await openListener({
        address,
        door,
        announcements,
        allowedHosts: settings.http.allowedHosts,
        limits: limitsOf(settings),
        clock: systemClock,
        ...(tls === undefined ? {} : { tls }),
      });
      open.push({ plane, listener });
    }
  } catch (error) {
    await closeAll(open, 0);
    throw error;
  }
  const addresses: Record<string, Listener['address']> = {};
  for (const { plane, listener } of open) addresses[plane] = listener.address;
  return {
    addresses: settings.isCombined ? { management: addresses['inference']!, ...addresses } : addresses,
    close: (graceMs) => closeAll(open, graceMs),
  };
}

const closeAll = async (open: readonly { readonly listener: Listener }[], graceMs: number): Promise<void> => {
  await Promise.all(open.map(({ listener }) => listener.close(graceMs)));
};

function httpOptions({
  http,
  auth,
  openInferenceProtocol,
  workers,
  metrics,
  inference,
  isCombined,
}: Settings): HttpOptions {
  return {
    ...DEFAULT_HTTP_OPTIONS,
    serverVersion: SERVER_VERSION,
    maxRequestBytes: http.maxRequestBytes,
    authFailureStatus: auth.failureStatus,
    doesPingRequireToken: auth.pingRequiresToken,
    doMetricsRequireToken: !isPrivate(metrics.address) || (isCombined && !isPrivate(inference.address)),
    isModelApiEnabled: auth.isModelApiEnabled,
    isOpenInferenceProtocolEnabled: openInferenceProtocol.isEnabled,
    corsAllowedOrigin: http.cors.origin,
    corsAllowedMethods: http.cors.methods,
    corsAllowedHeaders: http.cors.headers,
    sequenceIdHeader: workers.sequenceHeaders.id,
    sequenceStartHeader: workers.sequenceHeaders.start,
  };
}

/** Design section 9: open as in TorchServe on loopback; anywhere else the metrics want a key. */
const isPrivate = (address: Address): boolean => address.kind === 'unix' || isLoopbackHost(address.host);

const limitsOf = ({ http }: Settings) => ({
  headersTimeoutMs: http.headerTimeoutMs,
  requestTimeoutMs: http.bodyTimeoutMs,
  idleTimeoutMs: http.idleTimeoutMs,
  maxConnections: http.maxConnections,
});

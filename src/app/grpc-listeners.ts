// The gRPC listeners, as configured.
import type { GrpcListener } from '../config/index.ts';
import { openGrpcListeners, type GrpcListeners, type GrpcListenOptions } from '../grpc/index.ts';
import { systemClock } from '../kernel/index.ts';
import type { ListenerDeps } from './listeners.ts';
import { loadConfiguredTls } from './tls.ts';

export async function openConfiguredGrpc(deps: ListenerDeps): Promise<GrpcListeners> {
  const { settings, announcements } = deps;
  const { grpc, http, auth, workers, openInferenceProtocol } = settings;
  return openGrpcListeners({
    ...deps,
    clock: systemClock,
    inferenceAddress: listenOptions(grpc.inference),
    managementAddress: listenOptions(grpc.management),
    maxMessageBytes: http.maxRequestBytes,
    tls: grpc.usesTls ? await loadConfiguredTls(settings, announcements, 'enable_grpc_ssl=true', 'pem') : undefined,
    isModelApiEnabled: auth.isModelApiEnabled,
    isOpenInferenceProtocolEnabled: openInferenceProtocol.isEnabled,
    doesPingRequireToken: auth.pingRequiresToken,
    sequenceHeaders: workers.sequenceHeaders,
  });
}

const listenOptions = ({
  host,
  port,
  maxConnectionAgeMs,
  maxConnectionAgeGraceMs,
}: GrpcListener): GrpcListenOptions => ({
  host,
  port,
  maxConnectionAgeMs,
  maxConnectionAgeGraceMs,
});

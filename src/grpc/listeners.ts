// The two gRPC listeners (surface spec 5.1), put together: services, gate, transport.
import { systemClock, type Clock } from '../kernel/index.ts';
import type { Gate } from '../policy/index.ts';
import type { Announcements, DataPlane, ManagementPlane } from '../serving/index.ts';
import { GrpcDoor } from './door.ts';
import { ManagementAPIsService } from './gen/management_pb.ts';
import { InferenceAPIsService } from './gen/inference_pb.ts';
import { healthService, type HealthService } from './health-service.ts';
import { listenHttp2, type GrpcTls } from './http2/listener.ts';
import { inferenceMethods } from './inference-service.ts';
import { managementMethods } from './management-service.ts';
import type { Method } from './method.ts';
import { openInferenceMethods } from './open-inference-service.ts';
import type { SequenceHeaders } from './sequence-call.ts';
import type { ListenAddress, TransportListener } from './transport.ts';

export interface GrpcListenOptions extends ListenAddress {
  /** Undefined: for ever. */
  readonly maxConnectionAgeMs?: number | undefined;
  readonly maxConnectionAgeGraceMs?: number | undefined;
}

export interface GrpcDeps {
  readonly dataPlane: DataPlane;
  readonly management: ManagementPlane;
  readonly gate: Gate;
  readonly announcements: Announcements;
  readonly clock?: Clock;
  readonly inferenceAddress: GrpcListenOptions;
  readonly managementAddress: GrpcListenOptions;
  /** `max_request_size`. */
  readonly maxMessageBytes: number;
  /** `enable_grpc_ssl`: undefined for plain text. */
  readonly tls: GrpcTls | undefined;
  readonly isModelApiEnabled: boolean;
  readonly isOpenInferenceProtocolEnabled: boolean;
  readonly doesPingRequireToken: boolean;
  readonly sequenceHeaders: SequenceHeaders;
}

export interface GrpcListeners {
  readonly addresses: { readonly inference: ListenAddress; readonly management: ListenAddress };
  /** Takes no new calls, lets those in flight end, and cuts what is left after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Opens both listeners or none; rejects with Fault `invalid_configuration` when an address cannot be bound. */
export async function openGrpcListeners(deps: GrpcDeps): Promise<GrpcListeners> {
  const isHealthy = (): boolean => deps.management.isHealthy();
  const inference = await open(deps, 'grpc-inference', deps.inferenceAddress, InferenceAPIsService.typeName, [
    ...inferenceMethods({ ...deps, isHealthy }, deps),
    ...(deps.isOpenInferenceProtocolEnabled ? openInferenceMethods(deps) : []),
  ]);
  try {
    const methods = managementMethods(deps);
    const management = await open(
      deps,
      'grpc-management',
      deps.managementAddress,
      ManagementAPIsService.typeName,
      methods,
    );
    return {
      addresses: { inference: inference.address, management: management.address },
      close: async (graceMs) => void (await Promise.all([inference.close(graceMs), management.close(graceMs)])),
    };
  } catch (thrown) {
    await inference.close(0);
    throw thrown;
  }
}

async function open(
  deps: GrpcDeps,
  name: 'grpc-inference' | 'grpc-management',
  { maxConnectionAgeMs, maxConnectionAgeGraceMs, ...address }: GrpcListenOptions,
  service: string,
  methods: readonly Method[],
): Promise<TransportListener> {
  const { gate, announcements, maxMessageBytes, tls, clock = systemClock } = deps;
  const isHealthy = (): boolean => deps.management.isHealthy();
  const health: HealthService = healthService({ clock, isHealthy, services: new Set([service]) });
  const door = new GrpcDoor({ name, methods: [...methods, ...health.methods], gate, announcements });
  const options = { clock, maxMessageBytes, maxConnectionAgeMs, maxConnectionAgeGraceMs, tls };
  const listener = await listenHttp2(address, options, door.dispatch, door);
  return {
    address: listener.address,
    close(graceMs) {
      health.close();
      return listener.close(graceMs);
    },
  };
}

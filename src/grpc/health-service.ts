// The standard health service (grpc.health.v1) for probes: no key, and nothing to learn but the state.
import { create } from '@bufbuild/protobuf';
import type { Clock, Timer } from '../kernel/index.ts';
import { OPEN } from '../policy/index.ts';
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from './gen/grpc/health/v1/health_pb.ts';
import { decode, pathOf, sendMessage, SingleRequest, type Caller, type Method } from './method.ts';
import { CODE, OK, type GrpcStatus, type Message } from './transport.ts';

export interface HealthPorts {
  readonly clock: Clock;
  isHealthy(): boolean;
  /** Full names of the services on this listener; the empty name stands for the server. */
  readonly services: ReadonlySet<string>;
}

/** How soon a watcher hears of a change. */
const WATCH_EVERY_MS = 1000;
/** Anybody may watch, so somebody could open watches for ever. */
const MAX_WATCHES = 256;
const CHANGE_NOTHING: GrpcStatus = { code: CODE.internal, message: 'The health check failed' };
const statusOfFault = (): GrpcStatus => CHANGE_NOTHING;

type State = (typeof ServingStatus)[keyof typeof ServingStatus];

export interface HealthService {
  readonly methods: readonly Method[];
  /** Ends every watch: a server that stops must not wait for them. */
  close(): void;
}

export function healthService(ports: HealthPorts): HealthService {
  const watches = new Set<Watch>();
  const common = { operation: 'health', permission: OPEN };
  return {
    methods: [
      { ...common, path: pathOf(Health.method.check), open: (caller) => new Check(caller, ports) },
      { ...common, path: pathOf(Health.method.watch), open: (caller) => new Watch(caller, ports, watches) },
    ],
    close() {
      for (const watch of watches) watch.stop();
    },
  };
}

function stateOf(service: string, ports: HealthPorts): State {
  if (service !== '' && !ports.services.has(service)) return ServingStatus.SERVICE_UNKNOWN;
  return ports.isHealthy() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
}

class Check extends SingleRequest {
  readonly #ports: HealthPorts;

  constructor(caller: Caller, ports: HealthPorts) {
    super(caller.call, statusOfFault);
    this.#ports = ports;
  }

  protected override onRequest(message: Message): void {
    const status = stateOf(decode(HealthCheckRequestSchema, message).service, this.#ports);
    if (status === ServingStatus.SERVICE_UNKNOWN) {
      this.call.end({ code: CODE.notFound, message: 'unknown service' });
      return;
    }
    sendMessage(this.call, HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
    this.call.end(OK);
  }
}

class Watch extends SingleRequest {
  readonly #ports: HealthPorts;
  readonly #watches: Set<Watch>;
  #service = '';
  #last: State | undefined;
  #timer: Timer | undefined;

  constructor(caller: Caller, ports: HealthPorts, watches: Set<Watch>) {
    super(caller.call, statusOfFault);
    this.#ports = ports;
    this.#watches = watches;
  }

  protected override onRequest(message: Message): void {
    if (this.#watches.size >= MAX_WATCHES) {
      this.call.end({ code: CODE.resourceExhausted, message: 'Too many health watches' });
      return;
    }
    this.#service = decode(HealthCheckRequestSchema, message).service;
    this.#watches.add(this);
    this.#look();
  }

  stop(): void {
    this.onCancel();
    this.call.end({ code: CODE.unavailable, message: 'The server is stopping' });
  }

  override onCancel(): void {
    this.#timer?.cancel();
    this.#watches.delete(this);
  }

  #look(): void {
    const status = stateOf(this.#service, this.#ports);
    if (status !== this.#last) {
      sendMessage(this.call, HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
    }
    this.#last = status;
    this.#timer = this.#ports.clock.after(WATCH_EVERY_MS, () => this.#look());
  }
}

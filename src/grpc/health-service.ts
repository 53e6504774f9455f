// The standard health service (grpc.health.v1) for probes: no key, and nothing to learn but the state.
import { create } from '@bufbuild/protobuf';
import type { Clock, Timer } from '../kernel/index.ts';
import { ConnectionShares, OPEN } from '../policy/index.ts';
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from './gen/grpc/health/v1/health_pb.ts';
import { decode, pathOf, sendMessage, SingleRequest, type Caller, type Method } from './method.ts';
import { CODE, OK, type GrpcStatus, type Message, type ServerCall } from './transport.ts';

export interface HealthPorts {
  readonly clock: Clock;
  isHealthy(): boolean;
  /** Full names of the services on this listener; the empty name stands for the server. */
  readonly services: ReadonlySet<string>;
}

/** How soon a watcher hears of a change. */
const WATCH_EVERY_MS = 1000;
/** Clients that balance load watch on every connection, and proxies for many of them; a watch holds some 8 KB. */
const MAX_WATCHES = 16_384;
/** Watchers told of a change in one turn: some milliseconds. */
const TOLD_IN_ONE_TURN = 256;
const CHANGE_NOTHING: GrpcStatus = { code: CODE.internal, message: 'The health check failed' };
const statusOfFault = (): GrpcStatus => CHANGE_NOTHING;

type State = (typeof ServingStatus)[keyof typeof ServingStatus];

export interface HealthService {
  readonly methods: readonly Method[];
  /** Ends every watch: a server that stops must not wait for them. */
  close(): void;
}

export function healthService(ports: HealthPorts): HealthService {
  const watches = new Watches(ports);
  const common = { operation: 'health', permission: OPEN };
  return {
    methods: [
      { ...common, path: pathOf(Health.method.check), open: (caller) => new Check(caller, ports) },
      { ...common, path: pathOf(Health.method.watch), open: (caller) => new Watch(caller, ports, watches) },
    ],
    close: () => watches.close(),
  };
}

const isKnown = (service: string, { services }: HealthPorts): boolean => service === '' || services.has(service);

const stateOf = ({ isHealthy }: HealthPorts): State =>
  isHealthy() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;

class Check extends SingleRequest {
  readonly isProbe = true;
  readonly #ports: HealthPorts;

  constructor(caller: Caller, ports: HealthPorts) {
    super(caller.call, statusOfFault);
    this.#ports = ports;
  }

  protected override onRequest(message: Message): void {
    if (!isKnown(decode(HealthCheckRequestSchema, message).service, this.#ports)) {
      this.call.end({ code: CODE.notFound, message: 'unknown service' });
      return;
    }
    sendState(this.call, stateOf(this.#ports));
    this.call.end(OK);
  }
}

const sendState = (call: ServerCall, status: State): void =>
  sendMessage(call, HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));

/** All watches of a listener, looked after by one timer. Anybody may watch, so somebody could open watches for ever. */
class Watches {
  readonly #ports: HealthPorts;
  readonly #open = new Set<Watch>();
  readonly #shares = new ConnectionShares<Watch>(MAX_WATCHES, Infinity);
  #timer: Timer | undefined;

  constructor(ports: HealthPorts) {
    this.#ports = ports;
  }

  enter(watch: Watch): void {
    const hasRoom = this.#shares.enter(
      watch,
      watch.source,
      () => true,
      (other) => other.stop(TOO_MANY_WATCHES),
    );
    if (!hasRoom) return watch.stop(TOO_MANY_WATCHES);
    this.#open.add(watch);
    watch.tell(stateOf(this.#ports));
    this.#timer ??= this.#ports.clock.after(WATCH_EVERY_MS, () => this.#look());
  }

  leave(watch: Watch): void {
    this.#shares.leave(watch);
    this.#open.delete(watch);
    if (this.#open.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  close(): void {
    for (const watch of this.#open) watch.stop({ code: CODE.unavailable, message: 'The server is stopping' });
  }

  #look(): void {
    const state = stateOf(this.#ports);
    let told = 0;
    for (const watch of this.#open) {
      if (watch.tell(state)) told += 1;
      if (told === TOLD_IN_ONE_TURN) break;
    }
    const isDone = told < TOLD_IN_ONE_TURN;
    this.#timer = this.#ports.clock.after(isDone ? WATCH_EVERY_MS : 0, () => this.#look());
  }
}

const TOO_MANY_WATCHES: GrpcStatus = { code: CODE.resourceExhausted, message: 'Too many health watches' };

class Watch extends SingleRequest {
  readonly isProbe = true;
  readonly #ports: HealthPorts;
  readonly #watches: Watches;
  /** Not the name, which may be megabytes. */
  #isKnown = false;
  #last: State | undefined;

  constructor(caller: Caller, ports: HealthPorts, watches: Watches) {
    super(caller.call, statusOfFault);
    this.#ports = ports;
    this.#watches = watches;
  }

  get source(): string {
    return this.call.source;
  }

  protected override onRequest(message: Message): void {
    this.#isKnown = isKnown(decode(HealthCheckRequestSchema, message).service, this.#ports);
    this.#watches.enter(this);
  }

  /** True where that was news. */
  tell(state: State): boolean {
    const status = this.#isKnown ? state : ServingStatus.SERVICE_UNKNOWN;
    if (status === this.#last) return false;
    this.#last = status;
    sendState(this.call, status);
    return true;
  }

  stop(status: GrpcStatus): void {
    this.onCancel();
    this.call.end(status);
  }

  override onCancel(): void {
    this.#watches.leave(this);
  }
}

// From a call's metadata to its method: path, key, permission; and one access line for what became of it.
import { Fault, toFault } from '../kernel/index.ts';
import { OPEN, type Gate, type Principal } from '../policy/index.ts';
import type { AccessEvent, Announcements } from '../serving/index.ts';
import type { Method } from './method.ts';
import { inferenceStatus } from './status-of-fault.ts';
import { CODE, type CallHandler, type GrpcStatus, type ServerCall, type TransportObserver } from './transport.ts';

export interface DoorParts {
  readonly name: Extract<AccessEvent['listener'], 'grpc-inference' | 'grpc-management'>;
  readonly methods: readonly Method[];
  readonly gate: Gate;
  readonly announcements: Announcements;
}

export class GrpcDoor implements TransportObserver {
  readonly #parts: DoorParts;
  readonly #methods: ReadonlyMap<string, Method>;

  /** A method without a permission, or one path declared twice, is a bug that must not start. */
  constructor(parts: DoorParts) {
    const methods = new Map<string, Method>();
    for (const method of parts.methods) {
      const hasPermission = (method as { permission?: Method['permission'] }).permission?.kind !== undefined;
      if (!hasPermission) throw new TypeError(`Method ${method.path} has no permission.`);
      if (methods.has(method.path)) throw new TypeError(`Method ${method.path} is declared twice.`);
      methods.set(method.path, method);
    }
    this.#parts = parts;
    this.#methods = methods;
  }

  readonly dispatch = (call: ServerCall): CallHandler | undefined => {
    const method = this.#methods.get(call.path);
    if (method === undefined) {
      call.end({ code: CODE.unimplemented, message: `Method not found: ${call.path.slice(1, 201)}` });
      return undefined;
    }
    try {
      return method.open({ call, principal: this.#admit(call, method) });
    } catch (thrown) {
      call.end(inferenceStatus(toFault(thrown)));
      return undefined;
    }
  };

  onEnd(call: ServerCall, status: GrpcStatus, durationMs: number): void {
    const { access } = this.#parts.announcements;
    if (!access.hasSubscribers) return;
    access.publish({
      listener: this.#parts.name,
      remote: call.remote,
      method: 'gRPC',
      target: call.path.slice(1),
      protocol: 'HTTP/2.0',
      status: status.code,
      durationMs,
      requestId: undefined,
    });
  }

  onFailure(message: string, cause: unknown): void {
    this.#parts.announcements.notice.publish({ level: 'error', message, cause });
  }

  #admit(call: ServerCall, { permission, operation }: Method): Principal {
    const { gate, announcements } = this.#parts;
    try {
      return gate.admit(call.authorization, call.source, permission ?? OPEN);
    } catch (thrown) {
      announcements.audit.publish({
        action: operation,
        outcome: 'refused',
        principal: 'anonymous',
        remote: call.source,
        subject: undefined,
        detail: { code: thrown instanceof Fault ? thrown.code : 'internal' },
      });
      throw thrown;
    }
  }
}

// What a door hands to the data path, and what comes back. Neither knows HTTP or gRPC.
import type { Fault } from '../kernel/index.ts';

/** Which of the handler's operations runs. The route decides, never a header. */
export type Operation = 'predict' | 'explain' | 'describe';

/** Name and value as the client spelled them; the handler's view is case-sensitive (surface spec 2.5). */
export type Header = readonly [name: string, value: string];

/**
 * One named value of a request (surface spec 2.4). Bytes are kept as they arrived: no copy until the worker's socket.
 * From `submit` on they belong to the data path, which frees them when the request is over.
 */
export interface InputPart {
  readonly name: string;
  /** Media type without parameters, or undefined when the part has none. */
  readonly contentType: string | undefined;
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
}

export interface InferenceRequest {
  readonly requestId: string;
  readonly operation: Operation;
  readonly model: string;
  /** Undefined asks for the default version. */
  readonly version: string | undefined;
  readonly headers: readonly Header[];
  readonly parts: readonly InputPart[];
  /** Set for models that batch by sequence. */
  readonly sequenceId?: string;
  /** The caller's own budget in milliseconds from now (a gRPC deadline). */
  readonly timeoutMs?: number;
  /** It came over gRPC: two of TorchServe's metrics leave those out (surface spec 4.3). */
  readonly isRpc?: true;
}

/** One answer, or one piece of a streamed answer. Its bytes belong to the outlet that gets it. */
export interface Reply {
  readonly status: number;
  /** Reason phrase; empty unless the handler gave one (surface spec 2.6). */
  readonly phrase: string;
  readonly contentType: string | undefined;
  readonly headers: readonly Header[];
  readonly body: readonly Uint8Array[];
  readonly bytes: number;
}

/** Where one request's answer goes. The door implements it; the data path calls `fail` or a last `send` exactly once. */
export interface Outlet {
  /** `isLast` false: more pieces follow. Status and headers of the first piece are the ones that count. */
  send(reply: Reply, isLast: boolean): void;
  fail(fault: Fault): void;
}

/** The door's hold on a request it has submitted. */
export interface Ticket {
  /** The client is gone: a queued request never reaches a worker, a running one is dropped on return. */
  cancel(): void;
}

/** The data path as the doors see it. */
export interface DataPlane {
  /**
   * Accepts a request or throws a Fault (`model_not_found`, `model_version_not_found`, `no_worker`, `queue_full`, `draining`).
   * Once accepted, the outlet hears exactly one end.
   */
  submit(request: InferenceRequest, outlet: Outlet): Ticket;
}

// What the services need of a gRPC transport: bytes of whole messages in and out, one status at the end. Knows no protobuf.

/** The canonical codes that this server sends. */
export const CODE = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export interface GrpcStatus {
  readonly code: number;
  readonly message: string;
}

export const OK: GrpcStatus = { code: CODE.ok, message: '' };

/** One call as the server holds it. After `end`, or after the handler heard `onCancel`, everything sent is dropped. */
export interface ServerCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** `ip:port`. */
  readonly remote: string;
  /** The peer's address without port. */
  readonly source: string;
  /** Undefined when it is missing, or was sent more than once. */
  readonly authorization: string | undefined;
  /** The caller's deadline in milliseconds from now; the transport ends the call when it has passed. */
  readonly timeoutMs: number | undefined;
  /** One message as a list of pieces, `bytes` long in all: large bodies are never copied together. */
  send(pieces: readonly Uint8Array[], bytes: number): void;
  end(status: GrpcStatus): void;
  /** Stops and goes on reading messages: the client then has to wait. */
  pause(): void;
  resume(): void;
}

/** A whole message as it arrived: views of what the socket delivered, `bytes` long in all. */
export interface Message {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
}

/** What a method does with one call. */
export interface CallHandler {
  /** True where anybody may call this, for hours maybe: its connection can be taken for a newcomer, and is opened again. */
  readonly isProbe?: boolean;
  onMessage(message: Message): void;
  /** The client has sent its last message. */
  onHalfClose(): void;
  /** The client is gone, or its deadline has passed. Nobody waits for an answer any more. */
  onCancel(): void;
}

export interface TransportObserver {
  /** Called once for each call, with its last status. */
  onEnd(call: ServerCall, status: GrpcStatus, durationMs: number): void;
  onFailure(message: string, cause: unknown): void;
}

/** Undefined: the call has been ended already. */
export type Dispatch = (call: ServerCall) => CallHandler | undefined;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface TransportListener {
  /** As bound: port 0 has become a number. */
  readonly address: ListenAddress;
  /** Takes no new calls, lets those in flight end, and cuts what is left after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Opens a listener; rejects with Fault `invalid_configuration` when the address cannot be bound. */
export type GrpcTransport<Options> = (
  address: ListenAddress,
  options: Options,
  dispatch: Dispatch,
  observer: TransportObserver,
) => Promise<TransportListener>;

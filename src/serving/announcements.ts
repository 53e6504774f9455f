// What the server tells its observers (logs, metrics, audit). Rooms publish here and import no logger.
import { Channel, type Fault } from '../kernel/index.ts';
import type { DeathCause } from './ports.ts';

/** One HTTP or gRPC exchange, when its response has ended (surface spec 11, access log). */
export interface AccessEvent {
  readonly listener: 'inference' | 'management' | 'metrics' | 'grpc-inference' | 'grpc-management';
  /** `ip:port`, or `127.0.0.1` for a unix socket. */
  readonly remote: string;
  readonly method: string;
  /** Path and query as received; observers redact. gRPC: `package.Service/Method`. */
  readonly target: string;
  readonly protocol: string;
  /** HTTP status, or gRPC status number. */
  readonly status: number;
  readonly durationMs: number;
  readonly requestId: string | undefined;
}

/** A security decision or a change of state that an operator may have to answer for. */
export interface AuditEvent {
  readonly action: string;
  readonly outcome: 'allowed' | 'refused';
  /** Key id, or `anonymous`; never a key. */
  readonly principal: string;
  readonly remote: string | undefined;
  readonly subject: string | undefined;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** A worker's life (surface spec 10.2, 10.4). */
export interface WorkerEvent {
  readonly workerId: string;
  readonly model: string;
  readonly version: string;
  readonly event:
    | { readonly kind: 'state'; readonly from: string; readonly to: string }
    | { readonly kind: 'loaded'; readonly loadMs: number }
    | { readonly kind: 'died'; readonly cause: DeathCause }
    | { readonly kind: 'retry'; readonly inSeconds: number }
    | { readonly kind: 'gave_up' }
    | { readonly kind: 'unsuccessful_inference'; readonly consecutive: number }
    | { readonly kind: 'output'; readonly stream: 'stdout' | 'stderr'; readonly line: string };
}

/** The numbers of one finished inference, in milliseconds. */
export interface InferenceEvent {
  readonly kind: 'accepted' | 'answered' | 'failed';
  readonly model: string;
  readonly version: string;
  /** Version as the request wrote it; undefined means the default was asked for. */
  readonly requestedVersion: string | undefined;
  readonly queueMs: number;
  /** From arrival to the last piece. */
  readonly totalMs: number;
  readonly batchSize: number;
  /** As InferenceRequest has it. */
  readonly isRpc: boolean;
  readonly fault?: Fault;
}

/** One worker cycle: a batch from send to last result. */
export interface BatchEvent {
  readonly model: string;
  readonly version: string;
  readonly workerId: string;
  readonly batchSize: number;
  readonly workerMs: number;
}

/** Metrics a handler emitted over the private channel (docs/worker-protocol.md). Untrusted content. */
export interface HandlerMetricsEvent {
  readonly model: string;
  readonly version: string;
  readonly samples: readonly unknown[];
}

/** A change in what is served. */
export interface ModelEvent {
  readonly model: string;
  readonly version: string;
  readonly change: 'registered' | 'unregistered' | 'scaled' | 'default_changed' | 'refused';
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Anything else worth a line in the server log. */
export interface NoticeEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  /** Shown to the operator only. */
  readonly cause?: unknown;
}

/** One set per server, made by the composition root. */
export class Announcements {
  /** Whoever writes notices and fails at it has nobody left to tell. */
  readonly notice = new Channel<NoticeEvent>(() => {});
  readonly access = this.#channel<AccessEvent>();
  readonly audit = this.#channel<AuditEvent>();
  readonly worker = this.#channel<WorkerEvent>();
  readonly inference = this.#channel<InferenceEvent>();
  readonly batch = this.#channel<BatchEvent>();
  readonly handlerMetrics = this.#channel<HandlerMetricsEvent>();
  readonly model = this.#channel<ModelEvent>();

  /** Most is published from callbacks of sockets, where an exception would end the server. The first of a channel is told. */
  #channel<Event>(): Channel<Event> {
    let isKnown = false;
    return new Channel((cause) => {
      if (isKnown) return;
      isKnown = true;
      this.notice.publish({ level: 'error', message: 'An observer failed on what it was told.', cause });
    });
  }
}

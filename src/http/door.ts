// One listener's requests, from the parsed head to the answer: framing, size, host, route, key, body, operation.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ByteBudget, Fault, toFault, UnreadAnswers, type Clock } from '../kernel/index.ts';
import { ANONYMOUS, type Gate } from '../policy/index.ts';
import type { AccessEvent, Announcements } from '../serving/index.ts';
import { NO_BODY, readBody, type Body } from './body.ts';
import { Exchange, type Connections, type ExchangeHost } from './exchange.ts';
import { inspectHead, invalidMessage, type RequestHead } from './framing.ts';
import { nameOf } from './host-check.ts';
import type { HttpOptions } from './options.ts';
import { AheadCount, Pipeline } from './pipeline.ts';
import { ResponseHeads } from './response-head.ts';
import type { Match, Params, RouteTable } from './route-table.ts';
import { parseTarget } from './target.ts';

/** Answers one admitted request. May throw a Fault; the body has been read and counted. */
export type Answer = (exchange: Exchange, params: Params, body: Body) => void;

export interface DoorParts {
  readonly name: AccessEvent['listener'];
  readonly table: RouteTable<Answer>;
  readonly gate: Gate;
  readonly options: HttpOptions;
  readonly clock: Clock;
  readonly announcements: Announcements;
}

const AUTH_FAULTS: ReadonlySet<string> = new Set(['unauthenticated', 'forbidden', 'too_many_failures']);

export class Door {
  readonly #parts: DoorParts;
  readonly #host: ExchangeHost;
  readonly #pipelines = new WeakMap<Socket, Pipeline>();
  readonly #ahead = new AheadCount();

  constructor(parts: DoorParts) {
    this.#parts = parts;
    const { name, options, clock, announcements } = parts;
    const budget = new ByteBudget(options.maxBufferedBytes);
    const answers = new UnreadAnswers(options.maxBufferedBytes);
    this.#host = { name, options, clock, announcements, heads: new ResponseHeads(options), budget, answers };
  }

  get name(): AccessEvent['listener'] {
    return this.#parts.name;
  }

  /** `isWaiting`: the client sent `Expect: 100-continue` and holds its body back. */
  handle(request: IncomingMessage, response: ServerResponse, connections: Connections, isWaiting = false): void {
    const pipeline = this.#pipelines.get(request.socket) ?? this.#pipelineOf(request.socket);
    // Dropped: the connection is being closed under an earlier answer, or the client runs too far ahead.
    const entry = pipeline.enter();
    if (entry === 'dropped') return;
    if (entry === 'last') response.shouldKeepAlive = false;
    const exchange = new Exchange(this.#host, connections, request, response, pipeline);
    exchange.isBodyWithheld = isWaiting;
    pipeline.latest = exchange;
    try {
      this.#admit(exchange, connections);
    } catch (thrown) {
      exchange.fail(toFault(thrown));
    }
  }

  /** Bytes on the connection that are no HTTP, or came too late. False: no exchange is there to answer for it. */
  onBrokenFraming(socket: Socket, isTimeout: boolean): boolean {
    const exchange = this.#pipelines.get(socket)?.latest;
    if (exchange === undefined || exchange.response.closed || exchange.response.writableFinished) return false;
    exchange.onBrokenFraming(isTimeout ? tooSlow() : invalidMessage());
    return true;
  }

  /** True where nobody waits for an answer on this connection. */
  isIdle(socket: Socket): boolean {
    return this.#pipelines.get(socket)?.isIdle ?? true;
  }

  #pipelineOf(socket: Socket): Pipeline {
    const pipeline = new Pipeline(socket, this.#ahead);
    this.#pipelines.set(socket, pipeline);
    return pipeline;
  }

  #admit(exchange: Exchange, connections: Connections): void {
    const { request, response } = exchange;
    const { options, table } = this.#parts;
    const head = inspectHead(request);
    if (head.contentLength !== undefined && head.contentLength > options.maxRequestBytes) {
      exchange.refuseSize();
      return;
    }
    if (!connections.isHostAllowed(head.host)) throw unknownHost(head.host);
    const target = parseTarget(request.url ?? '');
    exchange.queryText = target.query;
    exchange.contentType = head.contentType;
    const match = table.find(request.method ?? '', target.segments);
    this.#authorise(exchange, head, match);
    if (head.contentEncoding !== undefined && head.contentEncoding.toLowerCase() !== 'identity') {
      throw new Fault('unsupported_media_type', 'Compressed request bodies are not accepted. Send the body as it is.');
    }
    refuseForeignOrigin(request.method, head, match, options, connections);
    // Who needs no key gets no memory: the body of a probe is thrown away as it comes.
    const isUnread = this.#parts.gate.isEnforcing && exchange.principal === ANONYMOUS;
    if (isUnread || (!head.isChunked && !head.contentLength)) {
      match.route.answer(exchange, match.params, NO_BODY);
      return;
    }
    if (exchange.isBodyWithheld) {
      exchange.isBodyWithheld = false;
      response.writeContinue();
    }
    this.#read(exchange, match);
  }

  #authorise(exchange: Exchange, { authorization }: RequestHead, { route, params }: Match<Answer>): void {
    try {
      exchange.principal = this.#parts.gate.admit(authorization, exchange.source, route.permission(params));
    } catch (thrown) {
      const fault = toFault(thrown);
      if (AUTH_FAULTS.has(fault.code)) {
        this.#parts.announcements.audit.publish({
          action: route.operation,
          outcome: 'refused',
          principal: 'anonymous',
          remote: exchange.source,
          subject: params.model || undefined,
          detail: { code: fault.code },
        });
        if (route.refusal !== undefined && fault.code !== 'too_many_failures')
          throw new Fault(fault.code, route.refusal);
      }
      throw fault;
    }
  }

  #read(exchange: Exchange, { route, params }: Match<Answer>): void {
    readBody(
      exchange.request,
      this.#parts.options.maxRequestBytes,
      this.#host.budget,
      (bytes) => exchange.hold(bytes),
      {
        onBody(body) {
          // A broken chunk may have been answered already.
          if (exchange.isEnded) return;
          try {
            route.answer(exchange, params, body);
          } catch (thrown) {
            exchange.fail(toFault(thrown));
          }
        },
        onTooLarge: () => exchange.refuseSize(),
        onNoRoom: () =>
          exchange.fail(new Fault('queue_full', 'The server is receiving more request bodies than it has room for.')),
      },
    );
  }
}

/** Makes an answer of a promise: what it resolves to is the answer's own business, what it rejects with is the client's. */
export function answerLater(work: (exchange: Exchange, params: Params, body: Body) => Promise<void>): Answer {
  return (exchange, params, body) => {
    work(exchange, params, body).catch((thrown: unknown) => exchange.fail(toFault(thrown)));
  };
}

function tooSlow(): Fault {
  return new Fault('bad_request', 'The request did not arrive in time.', { status: 408 });
}

function unknownHost(host: string | undefined): Fault {
  return new Fault('bad_request', `Host "${host}" is not a name of this server. Add it to allowed_hosts if it is.`);
}

/** A page in a browser may not change anything here unless CORS names its origin: the browser would send it without asking. */
function refuseForeignOrigin(
  method: string | undefined,
  { origin, host }: RequestHead,
  { route, params }: Match<Answer>,
  { corsAllowedOrigin }: HttpOptions,
  connections: Connections,
): void {
  if (origin === undefined) return;
  const permission = route.permission(params);
  if (permission.kind === 'open' || permission.verb === 'infer') return;
  if (permission.verb !== 'token' && (method === 'GET' || method === 'HEAD' || method === 'OPTIONS')) return;
  if (corsAllowedOrigin === '*' || corsAllowedOrigin === origin) return;
  const scheme = /^https?:\/\//.exec(origin);
  const isSame = scheme && host !== undefined && nameOf(host) !== undefined && origin.slice(scheme[0].length) === host;
  // The page's own name may have been pointed at this machine, whichever address the listener is bound to.
  if (isSame && connections.isHostOwn(host)) return;
  throw new Fault(
    'forbidden',
    'Requests from other origins may not change this server. See cors_allowed_origin and allowed_hosts.',
  );
}

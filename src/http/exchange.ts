// One request and its one answer. Whatever the data path does, exactly one response is written, to this socket.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Fault, releaseBytes, newRequestId, type ByteBudget } from '../kernel/index.ts';
import type {
  AccessEvent,
  Announcements,
  DataPlane,
  Header,
  InferenceRequest,
  Outlet,
  Reply,
  Ticket,
} from '../serving/index.ts';
import { ANONYMOUS, type Principal } from '../policy/index.ts';
import { AnswerReader, type ReaderHost } from './answer-reader.ts';
import { errorBody, retryAfterOf, statusOf } from './error-answer.ts';
import { linger } from './linger.ts';
import type { HttpOptions } from './options.ts';
import { cleanPhrase, isAnswerStatus, type ResponseHeads } from './response-head.ts';
import { Query } from './target.ts';

/** What an exchange needs of its door. */
export interface ExchangeHost extends ReaderHost {
  readonly name: AccessEvent['listener'];
  readonly options: HttpOptions;
  readonly heads: ResponseHeads;
  readonly announcements: Announcements;
  /** Bodies of requests. */
  readonly budget: ByteBudget;
}

/** What an exchange needs of the listener it came in by. */
export interface Connections {
  /** True once the listener stops: every answer then closes its connection. */
  readonly isDraining: boolean;
  isHostAllowed(host: string | undefined): boolean;
  /** True for the listener's own names and for plain addresses: no web page has got a name of its own to look like one. */
  isHostOwn(host: string | undefined): boolean;
}

const NO_HEADERS: readonly Header[] = [];

export class Exchange implements Outlet {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId = newRequestId();
  /** Set by the door once the key is known. */
  principal: Principal = ANONYMOUS;
  /** Text behind the `?`. */
  queryText = '';
  contentType: string | undefined;
  /** True while a request body is still to come that nobody has asked for (`Expect: 100-continue`). */
  isBodyWithheld = false;

  readonly #host: ExchangeHost;
  readonly #connections: Connections;
  readonly #pipeline: { leave(): void };
  readonly #startedAt: number;
  #answeredAt = 0;
  #state: 'open' | 'streaming' | 'ended' = 'open';
  #ticket: Ticket | undefined;
  #bytesHeld = 0;
  #reader: AnswerReader | undefined;
  #isBroken = false;
  #isLast = false;
  #stopLingering: (() => void) | undefined;

  constructor(
    host: ExchangeHost,
    connections: Connections,
    request: IncomingMessage,
    response: ServerResponse,
    pipeline: { leave(): void },
  ) {
    this.#host = host;
    this.#pipeline = pipeline;
    this.#connections = connections;
    this.request = request;
    this.response = response;
    this.#startedAt = host.clock.now();
    response.sendDate = false;
    response.on('close', () => this.#onClosed());
  }

  get isEnded(): boolean {
    return this.#state === 'ended';
  }

  /** True once the answer said `connection: close`: what the client pipelined behind this request must not run. */
  get isLastOnConnection(): boolean {
    return this.#isLast;
  }

  /** The peer's address without port; `unix` for a unix socket. */
  get source(): string {
    return this.request.socket.remoteAddress ?? 'unix';
  }

  get query(): Query {
    return new Query(this.queryText);
  }

  /** Notes bytes taken from the door's budget; they go back when the exchange is over. */
  hold(bytes: number): void {
    this.#bytesHeld += bytes;
  }

  /** Throws what the data path throws; after that the data path calls `send` or `fail`. */
  submit(dataPlane: DataPlane, request: InferenceRequest): void {
    const ticket = dataPlane.submit(request, this);
    if (this.response.closed) ticket.cancel();
    else this.#ticket = ticket;
  }

  send(reply: Reply, isLast: boolean): void {
    if (this.#state === 'ended') return;
    if (this.#state === 'streaming') this.#stream(reply, isLast);
    else if (!isAnswerStatus(reply.status)) {
      this.#ticket?.cancel();
      this.fail(new Fault('internal', 'The model answered with a status that is not an HTTP status.'));
    } else if (isLast) {
      this.#whole(reply.status, cleanPhrase(reply.phrase), reply.contentType, reply.headers, reply.body, reply.bytes);
    } else {
      this.#state = 'streaming';
      const head = this.#head(reply.status, reply.contentType, reply.headers, undefined);
      this.response.writeHead(reply.status, cleanPhrase(reply.phrase), head);
      this.#stream(reply, false);
    }
  }

  fail(fault: Fault): void {
    if (this.#state === 'ended') {
      // The answer could not be written: a client that hears nothing would wait for ever.
      if (!this.response.headersSent) this.response.destroy();
      return;
    }
    if (fault.code === 'internal') this.#report(fault);
    if (this.#state === 'streaming') {
      // The status is already gone: a cut connection is the only way left to say that the answer is not whole.
      this.#end();
      this.#isLast = true;
      this.response.destroy();
      return;
    }
    const status = statusOf(fault, this.#host.options.authFailureStatus);
    const headers: Header[] = [];
    if (status === 401) headers.push(['www-authenticate', 'Bearer']);
    const retryAfter = retryAfterOf(fault);
    if (retryAfter !== undefined) headers.push(['retry-after', retryAfter]);
    this.#text(status, 'application/json', headers, errorBody(status, fault));
  }

  /** Two-space JSON with a newline at the end (surface spec 2.3). */
  json(status: number, value: unknown): void {
    this.text(status, 'application/json', `${JSON.stringify(value, null, 2)}\n`);
  }

  text(status: number, contentType: string, body: string): void {
    if (this.#state === 'open') this.#text(status, contentType, NO_HEADERS, body);
  }

  /** 413 as TorchServe words it: nothing but the status (surface spec 2.10). */
  refuseSize(): void {
    if (this.#state !== 'open') return;
    this.#end();
    this.#isLast = true;
    this.response.writeHead(413, ['content-length', '0', 'connection', 'close']);
    this.#conclude();
  }

  /** The connection can carry no further request; this one is still answered if it had arrived whole. */
  onBrokenFraming(fault: Fault): void {
    // Node tells of every further packet as well.
    if (this.#isBroken) return;
    this.response.shouldKeepAlive = false;
    this.#isBroken = true;
    if (!this.request.complete) this.fail(fault);
    // An early answer may have promised to keep the connection, on which nothing can be read any more.
    if (!this.#isLast) this.response.once('finish', () => this.request.socket.destroySoon());
    this.#stopLingering?.();
  }

  #text(status: number, contentType: string, headers: readonly Header[], body: string): void {
    const bytes = Buffer.from(body, 'utf8');
    this.#whole(status, undefined, contentType, headers, [bytes], bytes.byteLength);
  }

  #whole(
    status: number,
    phrase: string | undefined,
    contentType: string | undefined,
    headers: readonly Header[],
    body: readonly Uint8Array[],
    bytes: number,
  ): void {
    this.#end();
    const { response } = this;
    const head = this.#head(status, contentType, headers, status === 204 || status === 304 ? undefined : bytes);
    if (phrase === undefined) response.writeHead(status, head);
    else response.writeHead(status, phrase, head);
    if (body.length > 1) {
      response.cork();
      for (const chunk of body) response.write(chunk);
      response.uncork();
    }
    // Written out whole, or left to the collector: a connection that breaks may still hold them.
    if (bytes > ONE_WRITE_BYTES) response.once('finish', () => releaseBytes(body));
    this.#conclude(body.length === 1 ? body[0] : undefined);
  }

  #stream(reply: Reply, isLast: boolean): void {
    const { response } = this;
    // Node gathers what is written in one tick into one chunk; every piece is to be one of its own (surface spec 2.7).
    response.cork();
    for (const chunk of reply.body) response.write(chunk);
    response.uncork();
    if (isLast) {
      this.#end();
      this.#conclude();
      return;
    }
    if (response.writableLength > 0 || this.#reader !== undefined) this.#slowReader().onPiece();
  }

  #head(
    status: number,
    contentType: string | undefined,
    headers: readonly Header[],
    bytes: number | undefined,
  ): string[] {
    const { response, request } = this;
    const hasNoBody = status === 204 || status === 304;
    const isHttp11 = request.httpVersionMinor > 0;
    const isUnframed = bytes === undefined && !isHttp11 && !hasNoBody;
    this.#isLast = status >= 400 || this.#connections.isDraining || !response.shouldKeepAlive || isUnframed;
    return this.#host.heads.build(this.requestId, contentType, headers, bytes, isHttp11 && !hasNoBody, this.#isLast);
  }

  #end(): void {
    this.#state = 'ended';
    this.#answeredAt = this.#host.clock.now();
  }

  /** Ends the response; waits first for a client that is still sending, or it would never read the answer. */
  #conclude(last?: Uint8Array): void {
    const { request, response } = this;
    if (request.complete || this.isBodyWithheld || this.#isBroken || !hasBody(request)) {
      if (last !== undefined && last.byteLength <= ONE_WRITE_BYTES) response.end(latin1(last), 'latin1');
      else response.end(last);
      if (response.writableLength > 0) this.#slowReader().onWritten();
      return;
    }
    if (last !== undefined) response.write(last);
    this.#stopLingering = linger(request, this.#host.clock, () => response.end());
  }

  #slowReader(): AnswerReader {
    return (this.#reader ??= new AnswerReader(this.#host, this.request.socket, this.response));
  }

  #onClosed(): void {
    this.#pipeline.leave();
    this.#reader?.close();
    if (this.#bytesHeld > 0) this.#host.budget.give(this.#bytesHeld);
    if (this.#state !== 'ended') {
      this.#end();
      this.#ticket?.cancel();
    }
    this.#publish();
  }

  /** A bug of ours: the client is told nothing, so the log has to be told all. */
  #report(fault: Fault): void {
    const { name, announcements } = this.#host;
    const detail = { requestId: this.requestId, listener: name };
    announcements.notice.publish({
      level: 'error',
      message: 'A request failed unexpectedly.',
      detail,
      cause: fault.cause,
    });
  }

  #publish(): void {
    const { access } = this.#host.announcements;
    if (!access.hasSubscribers) return;
    const { request, response } = this;
    const { remoteAddress, remotePort } = request.socket;
    access.publish({
      listener: this.#host.name,
      remote: remoteAddress === undefined ? '127.0.0.1' : `${remoteAddress}:${remotePort}`,
      method: request.method ?? '',
      target: request.url ?? '',
      protocol: `HTTP/${request.httpVersion}`,
      status: response.headersSent ? response.statusCode : 499,
      durationMs: this.#answeredAt - this.#startedAt,
      requestId: this.requestId,
    });
  }
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';

/** Node puts head and body into one write when the body is text, and into a slower gathered write when it is bytes. */
const ONE_WRITE_BYTES = 16 * 1024;

/** The same bytes as one character each. */
const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

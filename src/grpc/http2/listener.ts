// gRPC over node:http2: one listener, its connections and their limits.
import {
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { bindFailure, ByteBudget, UnreadAnswers, type Clock } from '../../kernel/index.ts';
import { ConnectionShares } from '../../policy/index.ts';
import { CODE, type Dispatch, type GrpcTransport, type ListenAddress, type TransportObserver } from '../transport.ts';
import { Http2Call, type CallHead, type CallHost } from './call.ts';
import { SilentCalls } from './silent-calls.ts';
import { parseTimeout } from './wire.ts';

/** PEM material; `watch` replaces it in the running server when the files change. */
export interface GrpcTls {
  readonly options: SecureContextOptions & { readonly requestCert?: boolean; readonly rejectUnauthorized?: boolean };
  watch?(server: { setSecureContext(options: SecureContextOptions): void }): { cancel(): void };
}

export interface Http2Options {
  readonly clock: Clock;
  /** `max_request_size`. */
  readonly maxMessageBytes: number;
  /** Undefined: connections live as long as they are used. */
  readonly maxConnectionAgeMs: number | undefined;
  readonly maxConnectionAgeGraceMs: number | undefined;
  readonly tls: GrpcTls | undefined;
}

const BACKLOG = 1024;
const MAX_CONNECTIONS = 4096;
const MAX_CALLS_PER_CONNECTION = 256;
/** For TLS, and again for the HTTP/2 preface: who says nothing holds a connection that others want. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Channels of idle clients; they connect again without their user noticing. */
const IDLE_MS = 30 * 60_000;
/** 80 messages of the default maximum size on their way in; and as much of answers that nobody takes. */
const MAX_BUFFERED_BYTES = 512 * 1024 * 1024;
// 6.5 MB in five minutes is 22 KB/s, as over HTTP: a slow line, not an attack.
const CALL_LIMITS = { maxQueuedBytes: 64 * 1024 * 1024, stallTimeoutMs: 30_000, messageTimeoutMs: 300_000 };
/** Clients send one when they connect, and some more when they measure their line. */
const MAX_SETTINGS = 64;
const MS_PER_SETTINGS = 1000;
/** HTTP/2's default of 64 KB makes a 600 KB request wait ten round trips. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024;
/** What one connection may cost in nghttp2's own memory; below the window plus frames it would refuse streams. */
const MAX_SESSION_MEGABYTES = 32;
/** Metadata of a call; TorchServe's Netty takes 8 KB. */
const MAX_HEADER_BYTES = 16 * 1024;

export const listenHttp2: GrpcTransport<Http2Options> = async (address, options, dispatch, observer) => {
  const server = serverOf(options.tls);
  const sessions = new Set<ServerHttp2Session>();
  // Beside the sessions, because a connection in its TLS handshake has none yet.
  const sockets = new Set<Socket>();
  const shares = new ConnectionShares<Socket>(MAX_CONNECTIONS, Infinity);
  const callsOf = new Map<string, ReadonlySet<Http2Call>>();
  const isIdle = (socket: Socket): boolean => {
    for (const call of callsOf.get(peerOf(socket)) ?? []) if (!call.isIdle) return false;
    return true;
  };
  server.on('connection', (socket: Socket) => {
    if (!shares.enter(socket, socket.remoteAddress, isIdle, (other) => other.destroy())) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      shares.leave(socket);
    });
  });
  const limits = { ...CALL_LIMITS, maxMessageBytes: options.maxMessageBytes };
  const host: CallHost = {
    limits,
    budget: new ByteBudget(MAX_BUFFERED_BYTES),
    answers: new UnreadAnswers(MAX_BUFFERED_BYTES),
    silent: new SilentCalls(),
    clock: options.clock,
  };
  const context = { options, dispatch, observer, host };
  server.on('session', (session) => {
    sessions.add(session);
    const peer = peerOf(session.socket);
    session.once('close', () => {
      sessions.delete(session);
      callsOf.delete(peer);
    });
    callsOf.set(peer, welcome(session, context));
  });
  // A client that speaks no HTTP/2 or no TLS: its connection is closed, and that is all it needs to know.
  server.on('sessionError', () => undefined);
  await bind(server, address);
  server.on('error', (cause) => observer.onFailure('A gRPC listener failed', cause));
  const watch = options.tls?.watch?.(server as Http2SecureServer);
  return {
    address: { host: address.host, port: (server.address() as AddressInfo).port },
    async close(graceMs) {
      watch?.cancel();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.close();
      const deadline = options.clock.after(graceMs, () => {
        for (const socket of sockets) socket.destroy();
      });
      await closed;
      deadline.cancel();
    },
  };
};

interface Context {
  readonly options: Http2Options;
  readonly dispatch: Dispatch;
  readonly observer: TransportObserver;
  readonly host: CallHost;
}

function serverOf(tls: GrpcTls | undefined): Http2Server | Http2SecureServer {
  const options: ServerOptions = {
    settings: {
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxConcurrentStreams: MAX_CALLS_PER_CONNECTION,
      maxHeaderListSize: MAX_HEADER_BYTES,
      enablePush: false,
    },
    maxSessionMemory: MAX_SESSION_MEGABYTES,
  };
  if (tls === undefined) return createServer(options);
  return createSecureServer({
    ...options,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    minVersion: 'TLSv1.2',
    ...tls.options,
    allowHTTP1: false,
    ALPNProtocols: ['h2'],
  });
}

const peerOf = ({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string =>
  `${remoteAddress ?? 'unknown'}:${remotePort ?? 0}`;

/** Returns the calls of the connection, as they come and go. */
function welcome(session: ServerHttp2Session, context: Context): ReadonlySet<Http2Call> {
  const { clock, maxConnectionAgeMs, maxConnectionAgeGraceMs } = context.options;
  const source = session.socket.remoteAddress ?? 'unknown';
  const remote = peerOf(session.socket);
  const calls = new Set<Http2Call>();
  session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
  const preface = clock.after(HANDSHAKE_TIMEOUT_MS, () => session.destroy());
  session.once('remoteSettings', () => preface.cancel());
  session.once('close', () => preface.cancel());
  limitSettings(session, clock);
  const touch = closeWhenIdle(session, calls, clock);
  // Broken framing and resets: nghttp2 has closed the connection, and every call on it hears of that.
  session.on('error', () => undefined);
  session.on('stream', (stream, headers, _flags, rawHeaders) => {
    try {
      const call = accept(stream, headers, rawHeaders, { source, remote }, context);
      if (call === undefined) return;
      calls.add(call);
      stream.once('close', () => {
        calls.delete(call);
        touch();
      });
    } catch (cause) {
      // A bug of ours ends this call and not the server.
      context.observer.onFailure('A gRPC call failed unexpectedly', cause);
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  });
  if (maxConnectionAgeMs === undefined) return calls;
  // Spread over a tenth, so that clients of one restart do not all come back at once.
  const retire = clock.after(maxConnectionAgeMs * (0.95 + Math.random() / 10), () => {
    session.close();
    if (maxConnectionAgeGraceMs === undefined) return;
    const cut = clock.after(maxConnectionAgeGraceMs, () => session.destroy());
    session.once('close', () => cut.cancel());
  });
  session.once('close', () => retire.cancel());
  return calls;
}

/** By a timer of ours: the session's own outlives it by half an hour, and holds all of it. Returns what to call after use. */
function closeWhenIdle(session: ServerHttp2Session, calls: ReadonlySet<Http2Call>, clock: Clock): () => void {
  let usedAt = clock.now();
  const look = (): void => {
    const left = calls.size > 0 ? IDLE_MS : usedAt + IDLE_MS - clock.now();
    if (left <= 0) session.close();
    else timer = clock.after(left, look);
  };
  let timer = clock.after(IDLE_MS, look);
  session.once('close', () => timer.cancel());
  return () => (usedAt = clock.now());
}

/** nghttp2 bounds frames that ask for an answer, but only where the answers are not taken. */
function limitSettings(session: ServerHttp2Session, clock: Clock): void {
  let allowed = MAX_SETTINGS;
  let at = clock.now();
  session.on('remoteSettings', () => {
    const now = clock.now();
    allowed = Math.min(MAX_SETTINGS, allowed + (now - at) / MS_PER_SETTINGS) - 1;
    at = now;
    if (allowed < 0) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}

function accept(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
  peer: { readonly source: string; readonly remote: string },
  { options, dispatch, observer, host }: Context,
): Http2Call | undefined {
  // A stream's error is followed by its close, which cancels the call.
  stream.on('error', () => undefined);
  // Opened and reset in one packet.
  if (stream.destroyed || stream.closed) return undefined;
  if (headers[':method'] !== 'POST' || !/^application\/grpc(?:$|[+;])/.test(headers['content-type'] ?? '')) {
    stream.respond({ ':status': 415 }, { endStream: true });
    return undefined;
  }
  const timeoutMs = parseTimeout(only(rawHeaders, 'grpc-timeout'));
  const head: CallHead = {
    ...peer,
    path: headers[':path'] ?? '',
    authorization: only(rawHeaders, 'authorization'),
    timeoutMs: timeoutMs === 'malformed' ? undefined : timeoutMs,
  };
  const startedAt = options.clock.now();
  const call = new Http2Call(stream, head, host, (ended, status) =>
    observer.onEnd(ended, status, options.clock.now() - startedAt),
  );
  if (timeoutMs === 'malformed') {
    call.end({ code: CODE.internal, message: 'The grpc-timeout header is malformed' });
  }
  call.start(timeoutMs === 'malformed' ? undefined : dispatch(call));
  return call;
}

/** The value of a header that was sent exactly once: a second one could make two readers disagree. */
function only(rawHeaders: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at] !== name) continue;
    if (found !== undefined) return undefined;
    found = rawHeaders[at + 1];
  }
  return found;
}

async function bind(server: Http2Server | Http2SecureServer, { host, port }: ListenAddress): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: BACKLOG }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (cause) {
    throw bindFailure(`${host}:${port}`, cause);
  }
}

// One HTTP/2 connection: its calls, and when it is closed: silent, restless, unused or too old.
import { constants, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock } from '../../kernel/index.ts';
import { CODE, type Dispatch, type TransportObserver } from '../transport.ts';
import { Http2Call, type CallHead, type CallHost } from './call.ts';
import { parseTimeout } from './wire.ts';

/** What all connections of a listener share. */
export interface ConnectionHost {
  readonly options: ConnectionOptions;
  readonly dispatch: Dispatch;
  readonly observer: TransportObserver;
  readonly host: CallHost;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  /** Undefined: connections live as long as they are used. */
  readonly maxConnectionAgeMs: number | undefined;
  readonly maxConnectionAgeGraceMs: number | undefined;
}

/** For TLS, and again for the HTTP/2 preface: who says nothing holds a connection that others want. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Channels of idle clients; they connect again without their user noticing. */
const IDLE_MS = 30 * 60_000;
/** Clients send one when they connect, and some more when they measure their line. */
const MAX_SETTINGS = 64;
const MS_PER_SETTINGS = 1000;
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024;

export const peerOf = ({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string =>
  `${remoteAddress ?? 'unknown'}:${remotePort ?? 0}`;

/** Returns the calls of the connection, as they come and go. */
export function welcome(session: ServerHttp2Session, context: ConnectionHost): ReadonlySet<Http2Call> {
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
  { options, dispatch, observer, host }: ConnectionHost,
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

// gRPC over node:http2: one listener, and what all its connections share.
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { bindFailure, ByteBudget, UnreadAnswers } from '../../kernel/index.ts';
import { ConnectionShares } from '../../policy/index.ts';
import type { GrpcTransport, ListenAddress } from '../transport.ts';
import type { CallHost, Http2Call } from './call.ts';
import { HANDSHAKE_TIMEOUT_MS, peerOf, welcome, type ConnectionOptions } from './connection.ts';
import { SilentCalls } from './silent-calls.ts';

/** PEM material; `watch` replaces it in the running server when the files change. */
export interface GrpcTls {
  readonly options: SecureContextOptions & { readonly requestCert?: boolean; readonly rejectUnauthorized?: boolean };
  watch?(server: { setSecureContext(options: SecureContextOptions): void }): { cancel(): void };
}

export interface Http2Options extends ConnectionOptions {
  /** `max_request_size`. */
  readonly maxMessageBytes: number;
  readonly tls: GrpcTls | undefined;
}

const BACKLOG = 1024;
/** As many as `max_connections` gives an HTTP listener. */
const MAX_CONNECTIONS = 4096;
/** Clients with more open another connection; proxies commonly ask for 100. */
const MAX_CALLS_PER_CONNECTION = 256;
/** 80 messages of the default maximum size on their way in; and as much of answers that nobody takes. */
const MAX_BUFFERED_BYTES = 512 * 1024 * 1024;
// 6.5 MB in five minutes is 22 KB/s, as over HTTP: a slow line, not an attack.
const CALL_LIMITS = { maxQueuedBytes: 64 * 1024 * 1024, stallTimeoutMs: 30_000, messageTimeoutMs: 300_000 };
/** HTTP/2's default of 64 KB makes a 600 KB request wait ten round trips. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
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

// Every HTTP socket of the server is opened here, so that none escapes the limits and the policy.
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { bindFailure, systemClock, type Clock } from '../kernel/index.ts';
import { ConnectionShares } from '../policy/index.ts';
import type { Announcements } from '../serving/index.ts';
import type { Door } from './door.ts';
import type { Connections } from './exchange.ts';
import { createHostCheck } from './host-check.ts';
import { isTimeout, refuseBroken, refusePlaintext } from './refusals.ts';
import type { TlsMaterial } from './tls.ts';
import { claimSocketPath, restrictSocket } from './unix-socket.ts';

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface ListenerLimits {
  /** Milliseconds a connection may take to send a request's head. A first request is on the clock from the start. */
  readonly headersTimeoutMs: number;
  /** Milliseconds a connection may take to send a whole request. */
  readonly requestTimeoutMs: number;
  /** Milliseconds an idle kept-alive connection stays open. */
  readonly idleTimeoutMs: number;
  /** Bytes of one request head. */
  readonly maxHeaderBytes: number;
  readonly maxConnections: number;
  /** Connections from one address; Infinity switches the cap off. */
  readonly maxConnectionsPerSource: number;
  /** Requests on one connection before it is closed; 0 has no limit. */
  readonly maxRequestsPerConnection: number;
  /** How often the time limits above are looked at: they are exact to this many milliseconds. */
  readonly checkEveryMs: number;
  /** Milliseconds a client may take for its TLS handshake. */
  readonly handshakeTimeoutMs: number;
}

export const DEFAULT_LISTENER_LIMITS: ListenerLimits = {
  headersTimeoutMs: 15_000,
  // 6.5 MB in five minutes is 22 KB/s: a slow phone, not an attack.
  requestTimeoutMs: 300_000,
  // Longer than the 60 s of common load balancers, so that they close first and never meet a closed connection.
  idleTimeoutMs: 75_000,
  maxHeaderBytes: 16 * 1024,
  maxConnections: 8192,
  maxConnectionsPerSource: Infinity,
  maxRequestsPerConnection: 0,
  checkEveryMs: 2000,
  handshakeTimeoutMs: 10_000,
};

export interface ListenerOptions {
  readonly address: ListenAddress;
  readonly door: Door;
  readonly announcements: Announcements;
  readonly tls?: TlsMaterial;
  /** Further names this listener answers to when it is bound to loopback. */
  readonly allowedHosts?: readonly string[];
  readonly limits?: Partial<ListenerLimits>;
  readonly clock?: Clock;
}

export interface Listener {
  /** As bound: port 0 has become a number. */
  readonly address: ListenAddress;
  readonly connectionCount: number;
  /**
   * Stops accepting, closes idle connections, lets requests in flight be answered with `connection: close`,
   * and cuts what is left after `graceMs`.
   */
  close(graceMs: number): Promise<void>;
}

/** TorchServe's backlog (surface spec 1.5). */
const BACKLOG = 1024;

/** Connections that may be on their way out of a full listener. */
const CLOSING_CONNECTIONS = 256;

/** Rejects with Fault `invalid_configuration` when the address cannot be bound. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { address, door, announcements, tls, clock = systemClock } = options;
  const limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
  const sockets = new Set<Socket>();
  const connections = {
    isDraining: false,
    ...hostChecksOf(options),
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
    door.handle(request, response, connections);
  const server = serverOf(limits, tls, onRequest);
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    door.handle(request, response, connections, true),
  );
  // Any other expectation is answered by Node with 417; a CONNECT without a listener is closed.
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (!door.onBrokenFraming(socket as Socket, isTimeout(error))) refuseBroken(error, socket);
  });
  server.on('tlsClientError', refusePlaintext);
  const shares = new ConnectionShares<Socket>(limits.maxConnections, limits.maxConnectionsPerSource);
  const secured = new SecuredSockets(server, tls !== undefined);
  const isIdle = (socket: Socket): boolean => door.isIdle(secured.over(socket));
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
  // Those that have to go are still closing when the next ones come.
  server.maxConnections = limits.maxConnections + CLOSING_CONNECTIONS;
  server.maxRequestsPerSocket = limits.maxRequestsPerConnection;

  await bind(server, address);
  server.on('error', (cause) =>
    announcements.notice.publish({ level: 'error', message: `The ${door.name} listener failed.`, cause }),
  );
  const reload = tls?.watch(server as TlsServer);

  return {
    address: boundAddress(server, address),
    get connectionCount() {
      return sockets.size;
    },
    async close(graceMs) {
      connections.isDraining = true;
      reload?.cancel();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const deadline = clock.after(graceMs, () => {
        for (const socket of sockets) socket.destroy();
      });
      await closed;
      deadline.cancel();
    },
  };
}

function serverOf(
  limits: ListenerLimits,
  tls: TlsMaterial | undefined,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Server | TlsServer {
  const options: ServerOptions = {
    headersTimeout: limits.headersTimeoutMs,
    // A whole request cannot be due before its head; Node refuses to start with such a pair.
    requestTimeout: Math.max(limits.requestTimeoutMs, limits.headersTimeoutMs),
    keepAliveTimeout: limits.idleTimeoutMs,
    keepAliveTimeoutBuffer: 0,
    connectionsCheckingInterval: limits.checkEveryMs,
    maxHeaderSize: limits.maxHeaderBytes,
    keepAlive: true,
    noDelay: true,
    insecureHTTPParser: false,
    // Checked by framing.ts, which knows our error shape.
    requireHostHeader: false,
    // An Upgrade is no offence; it is simply not taken up (RFC 9110 7.8).
    shouldUpgradeCallback: () => false,
  };
  if (tls === undefined) return createServer(options, onRequest);
  const secure = { ...options, ...tls.options, handshakeTimeout: limits.handshakeTimeoutMs };
  return createTlsServer(secure, onRequest);
}

/** Node tells of a connection twice where it speaks TLS, and requests come with the second socket. */
class SecuredSockets {
  readonly #byPeer = new Map<string, Socket>();

  constructor(server: Server | TlsServer, isSecure: boolean) {
    if (!isSecure) return;
    server.on('secureConnection', (socket: Socket) => {
      const peer = peerOf(socket);
      this.#byPeer.set(peer, socket);
      socket.once('close', () => this.#byPeer.delete(peer));
    });
  }

  over(socket: Socket): Socket {
    return this.#byPeer.get(peerOf(socket)) ?? socket;
  }
}

const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress}|${remotePort}`;

/** Beyond loopback a listener has names that it does not know of; only pages in browsers have to use one that it does. */
function hostChecksOf({
  address,
  allowedHosts = [],
}: ListenerOptions): Pick<Connections, 'isHostAllowed' | 'isHostOwn'> {
  const isAny = (): boolean => true;
  if (address.kind === 'unix') return { isHostAllowed: isAny, isHostOwn: isAny };
  const isHostOwn = createHostCheck([address.host, ...allowedHosts]);
  return { isHostAllowed: isLoopback(address.host) ? isHostOwn : isAny, isHostOwn };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

async function bind(server: Server, address: ListenAddress): Promise<void> {
  if (address.kind === 'unix') await claimSocketPath(address.path);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        address.kind === 'unix'
          ? { path: address.path, backlog: BACKLOG }
          : { host: address.host, port: address.port, backlog: BACKLOG },
        () => {
          server.off('error', reject);
          resolve();
        },
      );
    });
  } catch (cause) {
    const text = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
    throw bindFailure(text, cause);
  }
  if (address.kind === 'unix') await restrictSocket(address.path);
}

function boundAddress(server: Server, address: ListenAddress): ListenAddress {
  if (address.kind === 'unix') return address;
  return { ...address, port: (server.address() as AddressInfo).port };
}

// Answers to what is no request, written to the socket itself: there is no exchange to answer in.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

const INVALID_MESSAGE = Buffer.from(
  `{\n  "code": 400,\n  "type": "BadRequestException",\n  "message": "Invalid HTTP message."\n}\n`,
);
const HTTPS_ONLY = Buffer.from('{\n  "status": "This TorchServe instance only accepts HTTPS requests"\n}\n');

/** No exchange is in flight on this socket: the answer cannot be mistaken for another request's. */
export function refuseBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  if (isTimeout(error)) endWith(socket, '408 Request Timeout', Buffer.alloc(0));
  else endWith(socket, '400 Bad Request', INVALID_MESSAGE);
}

export const isTimeout = (error: NodeJS.ErrnoException): boolean => error.code === 'ERR_HTTP_REQUEST_TIMEOUT';

/** A TLS handshake that failed. */
export function refusePlaintext(error: NodeJS.ErrnoException, socket: Socket): void {
  // The TLS layer is gone; what is below it still reaches a client that spoke plain HTTP to us (surface spec 2.10).
  const { _parent: raw } = socket as Socket & { readonly _parent?: Socket };
  if (error.code === 'ERR_SSL_HTTP_REQUEST' && raw?.writable) endWith(raw, '403 Forbidden', HTTPS_ONLY);
  else {
    raw?.destroy();
    socket.destroy();
  }
}

function endWith(socket: Duplex, status: string, body: Buffer): void {
  const type = body.length > 0 ? 'content-type: application/json\r\n' : '';
  const head = `HTTP/1.1 ${status}\r\n${type}content-length: ${body.length}\r\nconnection: close\r\n\r\n`;
  socket.once('error', () => socket.destroy());
  socket.end(Buffer.concat([Buffer.from(head, 'latin1'), body]), () => socket.destroy());
}

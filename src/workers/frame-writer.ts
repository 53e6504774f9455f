// Frames towards a worker (docs/worker-protocol.md). Bodies are handed to the socket as they arrived: no copy here.
import type { Writable } from 'node:stream';

/** Up to this size one copy into one buffer, and so one system call, is cheaper than a gathered write. */
const COALESCE_BYTES = 16 * 1024;
const PREFIX_BYTES = 8;

/** `chunks` are the bodies in the order that the header lists them; `bodyBytes` is their total. */
export function writeFrame(
  socket: Writable,
  header: object,
  chunks: readonly Uint8Array[] = [],
  bodyBytes: number = 0,
): void {
  const text = JSON.stringify(header);
  const headerBytes = Buffer.byteLength(text);
  const inlineBytes = bodyBytes <= COALESCE_BYTES ? bodyBytes : 0;
  const head = Buffer.allocUnsafe(PREFIX_BYTES + headerBytes + inlineBytes);
  head.writeUInt32BE(headerBytes, 0);
  head.writeUInt32BE(bodyBytes, 4);
  head.write(text, PREFIX_BYTES);
  if (inlineBytes === bodyBytes) {
    let at = PREFIX_BYTES + headerBytes;
    for (const chunk of chunks) {
      head.set(chunk, at);
      at += chunk.byteLength;
    }
    socket.write(head);
    return;
  }
  socket.cork();
  socket.write(head);
  for (const chunk of chunks) socket.write(chunk);
  socket.uncork();
}

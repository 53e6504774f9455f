// Frames towards a worker (docs/worker-protocol.md). Large bodies go to the socket as they arrived; small frames that are
// written in one turn of the event loop leave in one system call, which is most of what a small request costs.
import type { Writable } from 'node:stream';

/** Up to this size a body is copied behind its header: cheaper than one more buffer in a gathered write. */
const INLINE_BYTES = 16 * 1024;
const PREFIX_BYTES = 8;

export class FrameWriter {
  readonly #socket: Writable;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #isScheduled = false;

  constructor(socket: Writable) {
    this.#socket = socket;
  }

  /** `chunks` are the bodies in the order that the header lists them; `bodyBytes` is their total. */
  write(header: object, chunks: readonly Uint8Array[] = [], bodyBytes: number = 0): void {
    const isInline = bodyBytes <= INLINE_BYTES;
    this.#add(encode(header, isInline ? chunks : [], isInline ? bodyBytes : 0, bodyBytes));
    if (!isInline) for (const chunk of chunks) this.#add(chunk);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // After this turn's reads, and so before anything new is waited for.
    setImmediate(() => this.#flush());
  }

  #add(chunk: Uint8Array): void {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.byteLength;
  }

  #flush(): void {
    const chunks = this.#pending;
    const bytes = this.#pendingBytes;
    this.#isScheduled = false;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (chunks.length === 1) this.#socket.write(chunks[0]);
    else if (bytes <= INLINE_BYTES) this.#socket.write(Buffer.concat(chunks, bytes));
    else {
      this.#socket.cork();
      for (const chunk of chunks) this.#socket.write(chunk);
      this.#socket.uncork();
    }
  }
}

function encode(header: object, chunks: readonly Uint8Array[], inlineBytes: number, bodyBytes: number): Buffer {
  const text = JSON.stringify(header);
  const headerBytes = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + headerBytes + inlineBytes);
  frame.writeUInt32BE(headerBytes, 0);
  frame.writeUInt32BE(bodyBytes, 4);
  frame.write(text, PREFIX_BYTES);
  let at = PREFIX_BYTES + headerBytes;
  for (const chunk of chunks) {
    frame.set(chunk, at);
    at += chunk.byteLength;
  }
  return frame;
}

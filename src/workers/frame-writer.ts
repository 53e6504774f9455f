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
  #onSent: (() => void)[] = [];
  #isScheduled = false;

  constructor(socket: Writable) {
    this.#socket = socket;
  }

  /**
   * `chunks` are the bodies in the order that the header lists them; `bodyBytes` is their total. `onSent` is called when
   * the kernel has all of a body that is not copied; until then its chunks must stay as they are.
   */
  write(header: object, chunks: readonly Uint8Array[] = [], bodyBytes: number = 0, onSent?: () => void): void {
    const isInline = bodyBytes <= INLINE_BYTES;
    this.#add(encode(header, isInline ? chunks : [], isInline ? bodyBytes : 0, bodyBytes));
    if (!isInline) {
      for (const chunk of chunks) this.#add(chunk);
      if (onSent !== undefined) this.#onSent.push(onSent);
    }
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
    const onSent = this.#onSent;
    this.#isScheduled = false;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#onSent = [];
    if (chunks.length === 1) this.#socket.write(chunks[0]);
    else if (bytes <= INLINE_BYTES) this.#socket.write(Buffer.concat(chunks, bytes));
    else {
      this.#socket.cork();
      const last = chunks.length - 1;
      for (const [index, chunk] of chunks.entries()) {
        if (index < last) this.#socket.write(chunk);
        else this.#socket.write(chunk, (error) => error ?? onSent.forEach((sent) => sent()));
      }
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

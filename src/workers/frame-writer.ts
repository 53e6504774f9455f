// Frames towards a worker (docs/worker-protocol.md). Large bodies go to the socket as they arrived; small frames that are
// written in one turn of the event loop leave in one system call, which is most of what a small request costs.
import type { Writable } from 'node:stream';

/** Up to this size a body is copied behind its header: cheaper than one more buffer in a gathered write. */
const INLINE_BYTES = 16 * 1024;
const PREFIX_BYTES = 8;
/** Small frames are laid out side by side in slabs of this size. */
const SLAB_BYTES = 64 * 1024;
/** UTF-8 needs at most three bytes for a UTF-16 code unit. */
const MAX_BYTES_PER_CHAR = 3;

export class FrameWriter {
  readonly #socket: Writable;
  /** What leaves with the next flush, in order; the frames in the slab from `#flushed` to `#used` come last. */
  #pending: Uint8Array[] = [];
  #slab = Buffer.allocUnsafeSlow(0);
  #flushed = 0;
  #used = 0;
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
    const text = JSON.stringify(header);
    const isInline = bodyBytes <= INLINE_BYTES;
    this.#reserve(PREFIX_BYTES + text.length * MAX_BYTES_PER_CHAR + (isInline ? bodyBytes : 0));
    const headerBytes = this.#slab.write(text, this.#used + PREFIX_BYTES);
    this.#slab.writeUInt32BE(headerBytes, this.#used);
    this.#slab.writeUInt32BE(bodyBytes, this.#used + 4);
    this.#used += PREFIX_BYTES + headerBytes;
    if (isInline) this.#copy(chunks);
    else {
      this.#closeSlice();
      for (const chunk of chunks) this.#pending.push(chunk);
      if (onSent !== undefined) this.#onSent.push(onSent);
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // After this turn's reads, and so before anything new is waited for.
    setImmediate(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }

  /** Room for one frame. A slab is never written to again where it has been handed to the socket. */
  #reserve(bytes: number): void {
    if (this.#slab.length - this.#used >= bytes) return;
    this.#closeSlice();
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    this.#flushed = 0;
    this.#used = 0;
  }

  #copy(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      this.#slab.set(chunk, this.#used);
      this.#used += chunk.byteLength;
    }
  }

  #closeSlice(): void {
    if (this.#used > this.#flushed) this.#pending.push(this.#slab.subarray(this.#flushed, this.#used));
    this.#flushed = this.#used;
  }

  /** Sends what is pending now, for a reader that has nothing else to do. */
  flush(): void {
    this.#closeSlice();
    const chunks = this.#pending;
    if (chunks.length === 0) return;
    const onSent = this.#onSent;
    this.#pending = [];
    this.#onSent = [];
    const sent = onSent.length === 0 ? undefined : (error?: Error | null) => error ?? onSent.forEach((tell) => tell());
    const last = chunks.length - 1;
    if (last > 0) this.#socket.cork();
    for (const [index, chunk] of chunks.entries()) {
      if (index === last && sent !== undefined) this.#socket.write(chunk, sent);
      else this.#socket.write(chunk);
    }
    if (last > 0) this.#socket.uncork();
  }
}

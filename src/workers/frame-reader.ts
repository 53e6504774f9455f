// Frames from a worker. Every byte is hostile: lengths are checked before anything is kept for them.

/** A worker's header may carry the response headers of a whole batch, and no more. */
const MAX_HEADER_BYTES = 8 * 1024 * 1024;
const PREFIX_BYTES = 8;

export interface FrameSink {
  /** `body` is the frame's body as slices of what was received, `bodyBytes` long. */
  onFrame(header: Record<string, unknown>, body: readonly Uint8Array[], bodyBytes: number): void;
  /** The stream breaks the protocol; nothing after it is read. */
  onOffence(offence: string): void;
  /** Asked once for every frame, before its body is kept. */
  maxBodyBytes(): number;
}

export class FrameReader {
  readonly #sink: FrameSink;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** Lengths of the frame being read; header length 0 means that its prefix has not arrived. */
  #headerBytes = 0;
  #bodyBytes = 0;
  #isBroken = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  push(chunk: Uint8Array): void {
    if (this.#isBroken) return;
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.byteLength;
    while (!this.#isBroken && this.#readOne());
  }

  #readOne(): boolean {
    if (this.#headerBytes === 0 && !this.#readPrefix()) return false;
    if (this.#pendingBytes < this.#headerBytes + this.#bodyBytes) return false;
    const header = parseHeader(this.#takeWhole(this.#headerBytes));
    if (header === undefined) return this.#break('a header that is not a JSON object');
    const bodyBytes = this.#bodyBytes;
    const body = this.#take(bodyBytes);
    this.#headerBytes = 0;
    this.#sink.onFrame(header, body, bodyBytes);
    return true;
  }

  #readPrefix(): boolean {
    if (this.#pendingBytes < PREFIX_BYTES) return false;
    const prefix = this.#takeWhole(PREFIX_BYTES);
    const headerBytes = prefix.readUInt32BE(0);
    const bodyBytes = prefix.readUInt32BE(4);
    if (headerBytes === 0 || headerBytes > MAX_HEADER_BYTES) return this.#break(`a header of ${headerBytes} bytes`);
    if (bodyBytes > this.#sink.maxBodyBytes()) {
      this.#isBroken = true;
      this.#sink.onOffence(`${OVERSIZE}${bodyBytes}`);
      return false;
    }
    this.#headerBytes = headerBytes;
    this.#bodyBytes = bodyBytes;
    return true;
  }

  #break(offence: string): false {
    this.#isBroken = true;
    this.#pending = [];
    this.#sink.onOffence(offence);
    return false;
  }

  /** `bytes` from the front as one buffer; copies only when they span chunks. */
  #takeWhole(bytes: number): Buffer {
    const parts = this.#take(bytes);
    const [first] = parts;
    if (parts.length === 1 && first !== undefined) return Buffer.from(first.buffer, first.byteOffset, first.byteLength);
    return Buffer.concat(parts, bytes);
  }

  /** `bytes` from the front as slices of the received chunks, without a copy. */
  #take(bytes: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let missing = bytes;
    let used = 0;
    while (missing > 0) {
      const chunk = this.#pending[used]!;
      if (chunk.byteLength <= missing) {
        taken.push(chunk);
        used += 1;
        missing -= chunk.byteLength;
      } else {
        taken.push(chunk.subarray(0, missing));
        this.#pending[used] = chunk.subarray(missing);
        missing = 0;
      }
    }
    if (used > 0) this.#pending.splice(0, used);
    this.#pendingBytes -= bytes;
    return taken;
  }
}

/** Prefix of the offence that means "too large", which has a cause of death of its own. */
export const OVERSIZE = 'oversize:';

function parseHeader(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    // Not JSON: the caller names the offence.
    return undefined;
  }
}

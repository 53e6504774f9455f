// Frames of docs/worker-protocol.md over a stream: large bodies are read straight into the buffer that the model sees.

export interface Frame {
  readonly header: Readonly<Record<string, unknown>>;
  /** Starts at an address that is a multiple of 8, so that a tensor at its beginning needs no copy. */
  readonly body: Buffer;
}

const PREFIX_BYTES = 8;
/** The kernel's default socket buffer is 208 KB; one read rarely brings more than this. */
const SCRATCH_BYTES = 64 * 1024;
/** From here on a system call's own copy goes to the final place; below, one more copy is cheaper than one more read. */
const DIRECT_BYTES = 32 * 1024;

type Stage = 'prefix' | 'header' | 'body';

/**
 * Cuts a stream into frames. The socket asks `nextBuffer` where to read to and reports with `received` how much came.
 * Throws when a header is not a JSON object.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #prefix = Buffer.allocUnsafeSlow(PREFIX_BYTES);
  #stage: Stage = 'prefix';
  #target: Buffer = this.#prefix;
  #filled = 0;
  #header: Frame['header'] = {};
  #bodyBytes = 0;
  #isDirect = false;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  nextBuffer(): Uint8Array {
    this.#isDirect = this.#stage === 'body' && this.#target.length - this.#filled >= DIRECT_BYTES;
    return this.#isDirect ? this.#target.subarray(this.#filled) : this.#scratch;
  }

  received(bytes: number): void {
    if (this.#isDirect) {
      this.#filled += bytes;
      this.#advance();
      return;
    }
    let at = 0;
    while (at < bytes) {
      const taken = Math.min(bytes - at, this.#target.length - this.#filled);
      this.#scratch.copy(this.#target, this.#filled, at, at + taken);
      this.#filled += taken;
      at += taken;
      this.#advance();
    }
  }

  #advance(): void {
    while (this.#filled === this.#target.length) {
      const complete = this.#target;
      if (this.#stage === 'prefix') {
        this.#bodyBytes = complete.readUInt32BE(4);
        this.#enter('header', Buffer.allocUnsafe(complete.readUInt32BE(0)));
      } else if (this.#stage === 'header') {
        this.#header = parseHeader(complete);
        this.#enter('body', allocateBody(this.#bodyBytes));
      } else {
        this.#enter('prefix', this.#prefix);
        this.#onFrame({ header: this.#header, body: complete });
        return;
      }
    }
  }

  #enter(stage: Stage, target: Buffer): void {
    this.#stage = stage;
    this.#target = target;
    this.#filled = 0;
  }
}

/** Small bodies come from Node's pool, which it keeps aligned to 8; large ones have a buffer of their own. */
function allocateBody(bytes: number): Buffer {
  return bytes < DIRECT_BYTES ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);
}

function parseHeader(bytes: Buffer): Frame['header'] {
  const header: unknown = JSON.parse(bytes.toString('utf8'));
  if (header === null || typeof header !== 'object' || Array.isArray(header))
    throw new Error('Frame header is no object.');
  return header as Frame['header'];
}

/** Prefix and header of a frame as one buffer; the body's pieces follow it on the wire. */
export function frameHead(header: object, bodyBytes: number): Buffer {
  const text = JSON.stringify(header);
  const headerBytes = Buffer.byteLength(text);
  const head = Buffer.allocUnsafe(PREFIX_BYTES + headerBytes);
  head.writeUInt32BE(headerBytes, 0);
  head.writeUInt32BE(bodyBytes, 4);
  head.write(text, PREFIX_BYTES);
  return head;
}

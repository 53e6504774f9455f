// Reads operands from a pickle stream. Every length is checked against the bytes that remain before anything is sliced.
import { Refusal } from '../refusal.ts';

/** The buffer holds only the head of the stream and the stream goes on: read more and start again. */
export class NeedsMoreBytes extends Error {}

const NO_FRAME = -1;
const NEWLINE = 0x0a;
/** No number, name or protocol 0 text in a model file is longer. */
const MAX_LINE_BYTES = 1 << 20;

export class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Bytes of the whole stream, which may be more than the buffer holds. */
  readonly #total: number;
  #frameEnd = NO_FRAME;
  position: number;

  constructor(bytes: Uint8Array, start: number, total: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#total = total;
    this.position = start;
  }

  get isInFrame(): boolean {
    return this.#frameEnd !== NO_FRAME;
  }

  /** The next opcode; leaves a frame that ends here. */
  opcode(): number {
    if (this.position === this.#frameEnd) this.#frameEnd = NO_FRAME;
    return this.u8();
  }

  /** CPython reads ahead by frames, others ignore them: only a frame that changes nothing is accepted. */
  enterFrame(byteLength: number): void {
    const end = this.position + byteLength;
    if (this.isInFrame) throw new Refusal('pickle_malformed', 'A frame lies inside another frame.', this.position);
    if (end > this.#total) throw new Refusal('pickle_malformed', 'A frame ends after the stream.', this.position);
    this.#frameEnd = end;
  }

  endFrameAtStop(): void {
    if (this.isInFrame && this.position !== this.#frameEnd) {
      throw new Refusal('pickle_malformed', 'The stream stops inside a frame.', this.position);
    }
  }

  u8(): number {
    return this.#bytes[this.#advance(1)] as number;
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#advance(8), false);
  }

  /** A 64-bit length; anything a double cannot count is longer than any file. */
  length64(): number {
    const value = this.#view.getBigUint64(this.#advance(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#truncated();
    return Number(value);
  }

  take(byteLength: number): Uint8Array {
    if (byteLength < 0) throw new Refusal('pickle_malformed', 'A length is negative.', this.position);
    const start = this.#advance(byteLength);
    return this.#bytes.subarray(start, start + byteLength);
  }

  /** The bytes before the next line feed, as Latin-1. */
  line(): string {
    const found = this.#bytes.subarray(this.position, this.position + MAX_LINE_BYTES).indexOf(NEWLINE);
    if (found < 0) {
      const rest = this.#total - this.position;
      if (rest > MAX_LINE_BYTES && this.#bytes.length - this.position >= MAX_LINE_BYTES) {
        throw new Refusal('pickle_limit', 'A line is longer than 1 MiB.', this.position);
      }
      this.#advance(this.#bytes.length - this.position + 1);
    }
    const start = this.#advance(found + 1);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, found).toString('latin1');
  }

  #advance(byteLength: number): number {
    const start = this.position;
    const end = start + byteLength;
    if (end > this.#total) throw this.#truncated();
    if (this.isInFrame && end > this.#frameEnd) {
      throw new Refusal('pickle_malformed', 'An instruction crosses the end of its frame.', start);
    }
    if (end > this.#bytes.length) throw new NeedsMoreBytes();
    this.position = end;
    return start;
  }

  #truncated(): Refusal {
    return new Refusal('pickle_malformed', 'The stream ends inside an instruction.', this.position);
  }
}

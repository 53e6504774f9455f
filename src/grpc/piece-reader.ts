// Reads the protobuf wire format from a message that lies in pieces, without copying them together: a large body is handed
// on as views of the pieces it arrived in. (One 600 KB copy per call costs little time, but doubles the garbage.)

export const WIRE = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

/** Ends what reads on behind the message's end or finds what is no protobuf; the caller says what that means. */
export class Malformed extends Error {}

const MAX_VARINT_BYTES = 10;
/** Fields of one message: what is made of millions of them is no request. */
const MAX_TAGS = 100_000;
const utf8 = new TextDecoder('utf-8', { fatal: true });

export class PieceReader {
  readonly #pieces: readonly Uint8Array[];
  readonly #bytes: number;
  #index = 0;
  /** Within the piece at `#index`. */
  #offset = 0;
  #position = 0;
  #tags = 0;

  constructor(pieces: readonly Uint8Array[], bytes: number) {
    this.#pieces = pieces;
    this.#bytes = bytes;
  }

  get position(): number {
    return this.#position;
  }

  /** Field number and wire type. */
  tag(): readonly [field: number, type: number] {
    this.#tags += 1;
    if (this.#tags > MAX_TAGS) throw new Malformed();
    const tag = this.#varint();
    return [Math.floor(tag / 8), tag % 8];
  }

  /** The length of what follows, checked against `end`. */
  length(end: number): number {
    const length = this.#varint();
    if (length > end - this.#position) throw new Malformed();
    return length;
  }

  /** The next `length` bytes as views. */
  take(length: number): Uint8Array[] {
    if (length > this.#bytes - this.#position) throw new Malformed();
    const taken: Uint8Array[] = [];
    for (let missing = length; missing > 0;) {
      const piece = this.#pieces[this.#index] as Uint8Array;
      const size = Math.min(missing, piece.length - this.#offset);
      if (size > 0) taken.push(piece.subarray(this.#offset, this.#offset + size));
      missing -= size;
      this.#advance(size);
    }
    return taken;
  }

  text(length: number): string {
    const pieces = this.take(length);
    try {
      return utf8.decode(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces));
    } catch {
      throw new Malformed();
    }
  }

  /** Groups are not of this protocol's age. */
  skip(type: number, end: number): void {
    if (type === WIRE.varint) this.#varint();
    else if (type === WIRE.fixed64) this.take(8);
    else if (type === WIRE.fixed32) this.take(4);
    else if (type === WIRE.lengthDelimited) this.take(this.length(end));
    else throw new Malformed();
  }

  #varint(): number {
    let value = 0;
    for (let at = 0, factor = 1; at < MAX_VARINT_BYTES; at++, factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new Malformed();
  }

  #byte(): number {
    if (this.#position >= this.#bytes) throw new Malformed();
    while (this.#offset >= (this.#pieces[this.#index] as Uint8Array).length) this.#advance(0);
    const byte = (this.#pieces[this.#index] as Uint8Array)[this.#offset] as number;
    this.#advance(1);
    return byte;
  }

  #advance(bytes: number): void {
    this.#offset += bytes;
    this.#position += bytes;
    if (this.#offset < (this.#pieces[this.#index]?.length ?? 0)) return;
    this.#index += 1;
    this.#offset = 0;
  }
}

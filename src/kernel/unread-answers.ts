// What clients have not read of their answers, all together: a thousand slow readers must not add up to all memory, and
// must not cost a neighbour its answer either.

export interface Reader {
  /** Bytes of its answer that it has not taken so far. */
  readonly unreadBytes: number;
  /** Ends its connection or call; what it had not read is let go of. */
  cut(): void;
}

export class UnreadAnswers {
  #left: number;
  /** Bytes last counted, in the order in which readers fell behind or were last seen to read. */
  readonly #counted = new Map<Reader, number>();

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  /** Counts what this reader has not read. Where that is too much together, those are cut that have read nothing for longest. */
  count(reader: Reader): void {
    this.#note(reader);
    if (this.#left >= 0) return;
    for (const [other, bytes] of this.#counted) {
      if (other.unreadBytes < bytes) {
        this.release(other);
        this.#note(other);
      } else {
        this.release(other);
        other.cut();
      }
      if (this.#left >= 0) return;
    }
  }

  release(reader: Reader): void {
    this.#left += this.#counted.get(reader) ?? 0;
    this.#counted.delete(reader);
  }

  #note(reader: Reader): void {
    const bytes = reader.unreadBytes;
    this.#left += (this.#counted.get(reader) ?? 0) - bytes;
    if (bytes > 0) this.#counted.set(reader, bytes);
    else this.#counted.delete(reader);
  }
}

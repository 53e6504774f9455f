// Sequential reading through RandomAccess with one small buffer: large payloads are skipped, never read.
import type { FindingCode } from '../../kernel/index.ts';
import type { RandomAccess } from '../random-access.ts';
import { Refusal } from './refusal.ts';

const BUFFER_BYTES = 256 * 1024;

/**
 * `await ensure(n)` where `isReady(n)` is false, then read without waiting: parsers stay synchronous between refills.
 * Reading past `end` is refused with the format's own code.
 */
export class Window {
  readonly #file: RandomAccess;
  readonly #code: FindingCode;
  #buffer: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #start = 0;
  #at = 0;

  constructor(file: RandomAccess, code: FindingCode) {
    this.#file = file;
    this.#code = code;
  }

  get position(): number {
    return this.#start + this.#at;
  }

  get remaining(): number {
    return this.#file.size - this.position;
  }

  /** True when the next `byteLength` bytes, or all that remain, are buffered. */
  isReady(byteLength: number): boolean {
    return this.#buffer.length - this.#at >= Math.min(byteLength, this.remaining);
  }

  async ensure(byteLength: number): Promise<void> {
    if (this.isReady(byteLength)) return;
    const from = this.position;
    this.#buffer = await this.#file.read(from, Math.min(Math.max(byteLength, BUFFER_BYTES), this.remaining));
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength);
    this.#start = from;
    this.#at = 0;
    if (!this.isReady(byteLength)) throw this.refusal('The file changed while it was read.');
  }

  skip(byteLength: number): void {
    if (byteLength > this.remaining) throw this.refusal('A length reaches past the end of the file.');
    if (this.#at + byteLength <= this.#buffer.length) {
      this.#at += byteLength;
      return;
    }
    this.#start = this.position + byteLength;
    this.#at = 0;
    this.#buffer = new Uint8Array(0);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  bytes(byteLength: number): Uint8Array {
    const at = this.#take(byteLength);
    return this.#buffer.subarray(at, at + byteLength);
  }

  refusal(message: string): Refusal {
    return new Refusal(this.#code, message, this.position);
  }

  #take(byteLength: number): number {
    const at = this.#at;
    if (at + byteLength > this.#buffer.length) throw this.refusal('The file ends too early.');
    this.#at += byteLength;
    return at;
  }
}

// Cuts the bytes of a call into messages: one byte of flags, four of length, the message; in whatever pieces they arrive.
import { mergeCrumbs } from '../../kernel/index.ts';
import type { Message } from '../transport.ts';

const PREFIX_BYTES = 5;
/** Pieces this small that do not end a message are crumbs. Clients fill their frames; a full window makes one now and then. */
const CRUMB_BYTES = 64;
const MAX_CRUMBS = 1024;

export type ReadProblem =
  | { readonly kind: 'compressed' }
  | { readonly kind: 'crumbs' }
  | { readonly kind: 'too_large'; readonly bytes: number };

export class MessageReader {
  readonly #maxBytes: number;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixBytes = 0;
  #chunks: Uint8Array[] = [];
  #merged = 0;
  #crumbs = 0;
  /** Of the message in hand. */
  #missing = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True between the first byte of a message and its last. */
  get isInsideMessage(): boolean {
    return this.#prefixBytes > 0;
  }

  /** Calls back for every message that `chunk` completes. A problem ends the call: nothing behind it is read. */
  read(chunk: Uint8Array, onMessage: (message: Message) => void): ReadProblem | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#prefixBytes < PREFIX_BYTES) {
        at += this.#takePrefix(chunk, at);
        if (this.#prefixBytes < PREFIX_BYTES) return undefined;
        const problem = this.#begin();
        if (problem !== undefined) return problem;
      } else {
        const taken = Math.min(this.#missing, chunk.length - at);
        this.#chunks.push(taken === chunk.length ? chunk : chunk.subarray(at, at + taken));
        this.#merged = mergeCrumbs(this.#chunks, this.#merged);
        this.#missing -= taken;
        at += taken;
      }
      if (this.#missing === 0) onMessage(this.#finish());
    }
    if (chunk.length < CRUMB_BYTES && this.isInsideMessage) {
      this.#crumbs += 1;
      if (this.#crumbs > MAX_CRUMBS) return { kind: 'crumbs' };
    }
    return undefined;
  }

  #takePrefix(chunk: Uint8Array, at: number): number {
    const taken = Math.min(PREFIX_BYTES - this.#prefixBytes, chunk.length - at);
    this.#prefix.set(chunk.subarray(at, at + taken), this.#prefixBytes);
    this.#prefixBytes += taken;
    return taken;
  }

  #begin(): ReadProblem | undefined {
    const bytes = this.#prefix.readUInt32BE(1);
    // This server never announces an encoding, so a compressed message is the client's mistake; and it could be a bomb.
    if (this.#prefix[0] !== 0) return { kind: 'compressed' };
    if (bytes > this.#maxBytes) return { kind: 'too_large', bytes };
    this.#missing = bytes;
    return undefined;
  }

  #finish(): Message {
    const message = { pieces: this.#chunks, bytes: this.#prefix.readUInt32BE(1) };
    this.#chunks = [];
    this.#merged = 0;
    this.#crumbs = 0;
    this.#prefixBytes = 0;
    return message;
  }
}

// The port through which every reader of this room sees bytes: never a path, so the same open file serves all of them.
import { refuse } from './refusal.ts';

export interface RandomAccess {
  /** Total bytes. */
  readonly size: number;
  /** Up to `length` bytes from `offset`; fewer only at the end. The result stays valid until the caller drops it. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Bytes already in memory. */
export function memoryAccess(bytes: Uint8Array): RandomAccess {
  return { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
}

/** A window on another source, for archives inside archives. */
export function sliceAccess(source: RandomAccess, start: number, size: number): RandomAccess {
  return {
    size,
    read: (offset, length) => source.read(start + offset, Math.max(0, Math.min(length, size - offset))),
  };
}

/** Exactly `length` bytes, or a refusal: a short read means the container promised more than it has. */
export async function readExactly(source: RandomAccess, offset: number, length: number): Promise<Buffer> {
  if (offset < 0 || length < 0 || offset + length > source.size) throw refuse('it is truncated');
  const bytes = await source.read(offset, length);
  if (bytes.length !== length) throw refuse('it is truncated');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** 1 MiB: large enough that reading costs less than hashing, small enough to leave the event loop between pieces. */
const PIECE_BYTES = 1024 * 1024;

/** The bytes of a range, in order. */
export async function* readRange(source: RandomAccess, start: number, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < length; at += PIECE_BYTES) {
    yield await readExactly(source, start + at, Math.min(PIECE_BYTES, length - at));
  }
}

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

/** 256 KiB, measured: larger buffers cost page faults, smaller ones cost system calls; the event loop waits 0.2 ms. */
const PIECE_BYTES = 256 * 1024;

/** The bytes of a range, in order. The next piece is being read while the caller works on this one. */
export async function* readRange(source: RandomAccess, start: number, length: number): AsyncGenerator<Buffer> {
  const readAt = (at: number): Promise<Buffer> => {
    const piece = readExactly(source, start + at, Math.min(PIECE_BYTES, length - at));
    // A caller that stops early never looks at this promise; its failure is nobody's then.
    piece.catch(() => {});
    return piece;
  };
  let next = length > 0 ? readAt(0) : null;
  try {
    for (let at = PIECE_BYTES; next !== null; at += PIECE_BYTES) {
      const piece: Buffer = await next;
      next = at < length ? readAt(at) : null;
      yield piece;
    }
  } finally {
    // The descriptor may be closed as soon as we return: no read may be under way then.
    await next?.catch(() => {});
  }
}

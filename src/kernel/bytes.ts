// Gives large buffers back by hand. Left to the garbage collector, the 64 KB chunks in which sockets deliver bodies pile up
// as external memory and make V8 collect the whole heap every few dozen requests; see bench/README.md.

/** Smaller ones are not worth a call, and may share a pool with others. */
const WORTH_RELEASING_BYTES = 16 * 1024;

/**
 * Frees every chunk that is the only view of its memory; each is empty afterwards. The caller must be the last holder:
 * nobody may read the chunks any more, and no write of them may be pending.
 */
export function releaseBytes(chunks: readonly Uint8Array[]): void {
  for (const { buffer, byteLength } of chunks) {
    if (byteLength < WORTH_RELEASING_BYTES || byteLength !== buffer.byteLength) continue;
    if (buffer instanceof ArrayBuffer) buffer.transfer(0);
  }
}

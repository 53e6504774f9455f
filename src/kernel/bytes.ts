// What the pieces of a body cost: large ones are given back by hand, crumbs are put together.
// Left to the garbage collector, the 64 KB chunks in which sockets deliver bodies pile up
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

/** So many pieces in a row are looked at together; below this average they are crumbs. */
const RUN_PIECES = 512;
const CRUMB_BYTES = 512;

/**
 * Puts the last run of `pieces` together if a sender made crumbs of them: a piece costs some two hundred bytes beside its
 * own, so six million single bytes would cost over a gigabyte. `from` is what the last call for these pieces returned, or 0.
 */
export function mergeCrumbs(pieces: Uint8Array[], from: number): number {
  if (pieces.length - from < RUN_PIECES) return from;
  const run = pieces.slice(from);
  const bytes = run.reduce((sum, piece) => sum + piece.byteLength, 0);
  if (bytes >= RUN_PIECES * CRUMB_BYTES) return pieces.length;
  pieces.splice(from, run.length, Buffer.concat(run, bytes));
  return from + 1;
}

// zlib streams: what joblib writes when it compresses, and reads by content alone, whatever the file is called.
//
// The format has no magic number to speak of, and honest files are full of it (Git keeps its objects so). Only what is
// inside decides, unless the name says that there is a model.
import { inflateSync, constants } from 'node:zlib';
import { actsLikePickle } from './pickle/interpret.ts';

/** Enough of a pickle to tell; more than the first instructions of any. */
const PROBE_BYTES = 64 * 1024;
/** joblib before 0.10: `ZF`, the length in hexadecimal digits, then the stream. */
const OLD_JOBLIB = /^ZF0x[0-9a-f]+L? /i;

export function isZlib(head: Uint8Array): boolean {
  const [method = 0, flags = 0] = head;
  return method === 0x78 && ((method << 8) | flags) % 31 === 0;
}

/** `head`: the first bytes of the file. */
export function hidesPickle(head: Buffer): boolean {
  if (OLD_JOBLIB.test(head.toString('latin1', 0, 32))) return true;
  if (!isZlib(head)) return false;
  const inside = inflated(head);
  const isMarked = inside[0] === 0x80 && (inside[1] ?? 0) >= 2 && (inside[1] ?? 0) <= 5;
  return isMarked || (inside.length > 0 && actsLikePickle(inside, Infinity));
}

/** As much as the head gives; nothing where it is no such stream. */
function inflated(head: Buffer): Buffer {
  try {
    // A stream that is cut is flushed, not refused.
    return inflateSync(head, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: PROBE_BYTES });
  } catch (thrown) {
    // More than a probe: a stream it is, and a few bytes of it are the same as many.
    const isLarge = (thrown as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    return isLarge ? inflated(head.subarray(0, head.length >> 1)) : Buffer.alloc(0);
  }
}

// zlib streams: what joblib writes when it compresses, and reads by content alone, whatever the file is called.
//
// The format has no magic number to speak of, and honest files are full of it (Git keeps its objects so). Only what is
// inside decides, unless the name says that there is a model.
import { inflateSync, constants } from 'node:zlib';
import { actsLikePickle } from './pickle/interpret.ts';

/** Enough of a pickle to tell; more than the first instructions of any. */
const PROBE_BYTES = 64 * 1024;
/** The longest table of codes ahead of the first byte; who fills more with empty blocks hides what comes behind them. */
const MAX_TABLES_BYTES = 1024;
/** joblib before 0.10: `ZF`, the length in hexadecimal digits, then the stream. */
const OLD_JOBLIB = /^ZF0x[0-9a-f]+L? /i;

export function isZlib(head: Uint8Array): boolean {
  const [method = 0, flags = 0] = head;
  return method === 0x78 && ((method << 8) | flags) % 31 === 0;
}

/** `head`: the first few kilobytes of the file, or all of it. */
export function hidesPickle(head: Buffer): boolean {
  if (OLD_JOBLIB.test(head.toString('latin1', 0, 32))) return true;
  if (!isZlib(head)) return false;
  const inside = inflated(head);
  if (inside === undefined) return false;
  if (inside.length === 0) return head.length > MAX_TABLES_BYTES;
  const isMarked = inside[0] === 0x80 && (inside[1] ?? 0) >= 2 && (inside[1] ?? 0) <= 5;
  return isMarked || actsLikePickle(inside.subarray(0, PROBE_BYTES), Infinity);
}

/** As much as the head gives; undefined where it is no such stream. Deflate makes at most 1032 bytes of one. */
function inflated(head: Buffer): Buffer | undefined {
  try {
    // A stream that is cut is flushed, not refused.
    return inflateSync(head, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return undefined;
  }
}

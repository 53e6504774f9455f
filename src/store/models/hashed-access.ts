// Hashes a file while it is being unpacked: every byte that a reader was given goes into the digest exactly once.
//
// Hashing first and unpacking afterwards reads the file twice, and whoever may write to it can change it in between
// without a trace in its timestamps (through a mapping). Here the digest is that of the very bytes that were used.
import { createHash } from 'node:crypto';
import { readRange, refuse, type RandomAccess } from '../../archive/index.ts';

/** Directories and headers that are kept until their place in the digest comes: more than any index within its limits. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;
/** A read up to this size may be repeated (headers); what is larger is content, and content is read once. */
const SMALL_READ_BYTES = 64 * 1024;

interface Kept {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** First reads anywhere (an index); after `beginStreaming`, reads from front to back. One read at a time. */
export class HashedAccess implements RandomAccess {
  readonly #source: RandomAccess;
  readonly #hash = createHash('sha256');
  /** Sorted and without overlaps once streaming. */
  #kept: Kept[] = [];
  #keptBytes = 0;
  #nextKept = 0;
  /** Everything before it is in the digest. */
  #position = 0;
  #latest: Kept = { start: 0, bytes: new Uint8Array(0) };
  #isStreaming = false;

  constructor(source: RandomAccess) {
    this.#source = source;
  }

  get size(): number {
    return this.#source.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = await this.#source.read(offset, length);
    if (this.#isStreaming) await this.#hashRead({ start: offset, bytes });
    else this.#keep({ start: offset, bytes });
    return bytes;
  }

  beginStreaming(): void {
    this.#kept = disjoint(this.#kept);
    this.#isStreaming = true;
  }

  /** Lower-case hex sha256 of the whole file; what nobody asked for is read now. */
  async digest(): Promise<string> {
    if (!this.#isStreaming) this.beginStreaming();
    await this.#advanceTo(this.size);
    return this.#hash.digest('hex');
  }

  #keep(kept: Kept): void {
    this.#keptBytes += kept.bytes.length;
    if (this.#keptBytes > MAX_KEPT_BYTES) throw refuse('its directory is too large');
    this.#kept.push(kept);
  }

  async #hashRead(read: Kept): Promise<void> {
    const { start, bytes } = read;
    const end = start + bytes.length;
    await this.#advanceTo(start);
    if (start < this.#position) this.#requireRepeat(read);
    for (let i = this.#nextKept; i < this.#kept.length && this.#kept[i]!.start < end; i += 1) {
      requireSame(this.#kept[i]!, read);
    }
    if (end > this.#position) {
      this.#hash.update(bytes.subarray(this.#position - start));
      this.#position = end;
    }
    if (end < endOf(this.#latest)) return;
    this.#latest = bytes.length <= SMALL_READ_BYTES ? read : { start: end, bytes: new Uint8Array(0) };
  }

  /** What is in the digest already may only be read again as the start of what was read last. */
  #requireRepeat(read: Kept): void {
    const { start, bytes } = this.#latest;
    if (read.start < start || start + bytes.length < this.#position) throw refuse('it was read out of order');
    requireSame(this.#latest, read);
  }

  async #advanceTo(target: number): Promise<void> {
    while (this.#position < target) {
      const kept = this.#kept[this.#nextKept];
      if (kept !== undefined && endOf(kept) <= this.#position) {
        this.#nextKept += 1;
      } else if (kept !== undefined && kept.start <= this.#position) {
        const piece = kept.bytes.subarray(this.#position - kept.start, target - kept.start);
        this.#hash.update(piece);
        this.#position += piece.length;
      } else {
        const gapEnd = Math.min(target, kept?.start ?? target);
        for await (const piece of readRange(this.#source, this.#position, gapEnd - this.#position))
          this.#hash.update(piece);
        this.#position = gapEnd;
      }
    }
  }
}

const endOf = ({ start, bytes }: Kept): number => start + bytes.length;

/** In order, each byte once. Two reads of one place must have brought the same. */
function disjoint(reads: readonly Kept[]): Kept[] {
  const result: Kept[] = [];
  for (const read of reads.toSorted((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    const covered = last === undefined ? read.start : endOf(last);
    for (let i = result.length - 1; i >= 0 && endOf(result[i]!) > read.start; i -= 1) requireSame(result[i]!, read);
    if (endOf(read) <= covered) continue;
    const from = Math.max(read.start, covered);
    result.push({ start: from, bytes: read.bytes.subarray(from - read.start) });
  }
  return result;
}

function requireSame(a: Kept, b: Kept): void {
  const [from, to] = [Math.max(a.start, b.start), Math.min(endOf(a), endOf(b))];
  if (from >= to) return;
  const slice = ({ start, bytes }: Kept): Uint8Array => bytes.subarray(from - start, to - start);
  if (Buffer.compare(slice(a), slice(b)) !== 0) throw refuse('it was changed while it was read');
}

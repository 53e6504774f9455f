// The one index that scanning and extraction share: where each file of a container lies and what it must turn out to be.
import { crc32, createInflateRaw } from 'node:zlib';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readRange, type RandomAccess } from './random-access.ts';
import { quote, refuse } from './refusal.ts';

export interface Member {
  /** Relative, `/`-separated, checked. */
  readonly name: string;
  /** Bytes once unpacked. */
  readonly size: number;
  readonly method: 'stored' | 'deflate';
  /** Where the (compressed) bytes start in the container. */
  readonly offset: number;
  readonly compressedSize: number;
  /** Null where the container has none (tar). */
  readonly crc32: number | null;
}

export interface ContainerIndex {
  /** Regular files, in the order of the container. Directories carry no content and are implied by names. */
  readonly members: readonly Member[];
  /** Sum of the members' sizes. */
  readonly totalBytes: number;
}

/** The bytes of one member. Ends normally only when size, CRC and the compressed stream's end all agree with the index. */
export async function* readMember(source: RandomAccess, member: Member): AsyncGenerator<Uint8Array> {
  const raw = readRange(source, member.offset, member.compressedSize);
  let size = 0;
  let crc = 0;
  for await (const piece of member.method === 'deflate' ? inflate(raw, member) : raw) {
    size += piece.length;
    if (size > member.size) throw refuse(`${quote(member.name)} unpacks to more than it declares`);
    if (member.crc32 !== null) crc = crc32(piece, crc);
    yield piece;
  }
  if (size !== member.size) throw refuse(`${quote(member.name)} unpacks to less than it declares`);
  if (member.crc32 !== null && crc !== member.crc32) throw refuse(`${quote(member.name)} fails its checksum`);
}

/** Everything of a small member; `maxBytes` is the caller's ceiling. */
export async function readWhole(source: RandomAccess, member: Member, maxBytes: number): Promise<Buffer> {
  if (member.size > maxBytes) throw refuse(`${quote(member.name)} is larger than ${maxBytes} bytes`);
  return Buffer.concat(await Array.fromAsync(readMember(source, member)));
}

/** Output piece of the inflater: an abort at a limit overshoots by less than this. */
const INFLATE_CHUNK_BYTES = 256 * 1024;

async function* inflate(raw: AsyncIterable<Buffer>, member: Member): AsyncGenerator<Uint8Array> {
  const engine = createInflateRaw({ chunkSize: INFLATE_CHUNK_BYTES });
  const feeding = pipeline(Readable.from(raw, { objectMode: true, highWaterMark: 1 }), engine).catch(() => {});
  try {
    yield* engine as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw refuse(`${quote(member.name)} has a damaged compressed stream`, cause);
  } finally {
    engine.destroy();
    await feeding;
  }
  // Bytes behind the end of the deflate stream are a hiding place that other readers may look into.
  if (engine.bytesWritten !== member.compressedSize) {
    throw refuse(`${quote(member.name)} has data after its compressed stream`);
  }
}

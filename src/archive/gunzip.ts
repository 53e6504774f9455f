// A strict gzip reader (RFC 1952): exactly one member, nothing after it, checksum and length verified.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { unpackedCeiling, type ContainerLimits } from './limits.ts';
import { readExactly, readRange, type RandomAccess } from './random-access.ts';
import { refuse } from './refusal.ts';

const FIXED_BYTES = 10;
const TRAILER_BYTES = 8;
/** Name, comment and extra field of the header: writers put a file name there. */
const MAX_HEADER_BYTES = 4096;
const INFLATE_CHUNK_BYTES = 256 * 1024;
/** A tar of the largest allowed content adds a header and padding to each file. */
const TAR_BYTES_PER_ENTRY = 4096;

/** The unpacked bytes, counted as they come. Throws `archive_refused`. */
export async function* gunzip(source: RandomAccess, limits: ContainerLimits): AsyncGenerator<Uint8Array> {
  if (source.size < FIXED_BYTES + TRAILER_BYTES) throw refuse('it is not a gzip file');
  const headerBytes = headerLength(await readExactly(source, 0, Math.min(MAX_HEADER_BYTES, source.size)));
  const bodyBytes = source.size - headerBytes - TRAILER_BYTES;
  if (bodyBytes <= 0) throw refuse('it is truncated');
  const ceiling = unpackedCeiling(source.size, limits) + limits.maxEntries * TAR_BYTES_PER_ENTRY;
  const engine = createInflateRaw({ chunkSize: INFLATE_CHUNK_BYTES });
  const raw = Readable.from(readRange(source, headerBytes, bodyBytes), { objectMode: true, highWaterMark: 1 });
  const feeding = pipeline(raw, engine).catch(() => {});
  let size = 0;
  let crc = 0;
  try {
    for await (const piece of engine as AsyncIterable<Uint8Array>) {
      size += piece.length;
      if (size > ceiling) throw refuse('it unpacks to more than its size allows');
      crc = crc32(piece, crc);
      yield piece;
    }
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_')) {
      throw refuse('its gzip stream is damaged', cause);
    }
    throw cause;
  } finally {
    engine.destroy();
    await feeding;
  }
  if (engine.bytesWritten !== bodyBytes) throw refuse('it has data after its gzip stream');
  const trailer = await readExactly(source, source.size - TRAILER_BYTES, TRAILER_BYTES);
  if (trailer.readUInt32LE(0) !== crc || trailer.readUInt32LE(4) !== size % 2 ** 32) {
    throw refuse('its gzip stream fails its checksum');
  }
}

const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16 } as const;

function headerLength(bytes: Buffer): number {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8) throw refuse('it is not a gzip file');
  const flags = bytes[3]!;
  if (flags > 0x1f) throw refuse('its gzip header uses unknown flags');
  let at = FIXED_BYTES;
  if (flags & FLAG.extra) at += 2 + (at + 2 <= bytes.length ? bytes.readUInt16LE(at) : MAX_HEADER_BYTES);
  for (const flag of [FLAG.name, FLAG.comment]) {
    if ((flags & flag) === 0) continue;
    const zero = bytes.indexOf(0, at);
    if (zero < 0) throw refuse('its gzip header is too long');
    at = zero + 1;
  }
  if (flags & FLAG.headerCrc) at += 2;
  if (at > bytes.length) throw refuse('its gzip header is too long');
  return at;
}

// Hostile archives, built byte by byte: every field of every record can be made to lie.
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';

/** One member of a ZIP; every optional field overrides what an honest writer would put there. */
export interface ZipPart {
  readonly name: string | Buffer;
  readonly data?: Buffer | string;
  readonly method?: number;
  readonly flags?: number;
  /** Unix mode with its type bits. */
  readonly mode?: number;
  readonly crc?: number;
  readonly size?: number;
  readonly compressedSize?: number;
  readonly localName?: string | Buffer;
  readonly localMethod?: number;
  readonly localFlags?: number;
  readonly localSize?: number;
  readonly localCrc?: number;
  readonly localOffset?: number;
  readonly centralExtra?: Buffer;
  readonly localExtra?: Buffer;
  readonly comment?: string;
  readonly attributes?: number;
  /** Bytes that really follow the local header, instead of the compressed data. */
  readonly payload?: Buffer;
  /** Bytes after the payload: a data descriptor, or something that has no business there. */
  readonly after?: Buffer;
  /** Leaves the member out of the central directory. */
  readonly isHidden?: boolean;
}

export interface ZipShape {
  readonly prefix?: Buffer;
  readonly suffix?: Buffer;
  readonly beforeDirectory?: Buffer;
  readonly comment?: string;
  readonly entries?: number;
  readonly disk?: number;
  readonly directoryOffset?: number;
  readonly directorySize?: number;
  /** Adds a Zip64 end record, with these lies in it. */
  readonly zip64?: { readonly entries?: number; readonly size?: number; readonly offset?: number };
}

const UTF8 = 0x0800;
export const REGULAR = 0o100644;
export const SYMLINK = 0o120777;

export function buildZip(parts: readonly ZipPart[], shape: ZipShape = {}): Buffer {
  const locals: Buffer[] = [shape.prefix ?? Buffer.alloc(0)];
  const centrals: Buffer[] = [];
  let at = locals[0]!.length;
  for (const part of parts) {
    const { local, central } = buildPart(part, at);
    locals.push(local);
    if (part.isHidden !== true) centrals.push(central);
    at += local.length;
  }
  locals.push(shape.beforeDirectory ?? Buffer.alloc(0));
  at += locals.at(-1)!.length;
  const directory = Buffer.concat(centrals);
  const entries = shape.entries ?? centrals.length;
  const size = shape.directorySize ?? directory.length;
  const offset = shape.directoryOffset ?? at;
  const comment = Buffer.from(shape.comment ?? '');
  const end = Buffer.concat([
    u32(0x06054b50),
    u16(shape.disk ?? 0),
    u16(shape.disk ?? 0),
    u16(entries),
    u16(entries),
    u32(size),
    u32(offset),
    u16(comment.length),
    comment,
  ]);
  const wide =
    shape.zip64 === undefined ? [] : zip64End(at + directory.length, { entries, size, offset, ...shape.zip64 });
  return Buffer.concat([...locals, directory, ...wide, end, shape.suffix ?? Buffer.alloc(0)]);
}

function buildPart(part: ZipPart, offset: number): { readonly local: Buffer; readonly central: Buffer } {
  const name = Buffer.from(part.name);
  const localName = Buffer.from(part.localName ?? part.name);
  const data = Buffer.from(part.data ?? '');
  const method = part.method ?? 8;
  const payload = part.payload ?? (method === 8 && !isDirectoryName(name) ? deflateRawSync(data) : data);
  const honestMethod = isDirectoryName(name) ? 0 : method;
  const crc = part.crc ?? crc32(data);
  const size = part.size ?? data.length;
  const compressed = part.compressedSize ?? payload.length;
  const flags = part.flags ?? UTF8;
  const head = (f: number, m: number, c: number, cs: number, s: number, n: Buffer, extra: Buffer): Buffer =>
    Buffer.concat([
      u16(20),
      u16(f),
      u16(m),
      u16(0),
      u16(0x21),
      u32(c),
      u32(cs),
      u32(s),
      u16(n.length),
      u16(extra.length),
    ]);
  const localExtra = part.localExtra ?? Buffer.alloc(0);
  const local = Buffer.concat([
    u32(0x04034b50),
    head(
      part.localFlags ?? flags,
      part.localMethod ?? honestMethod,
      part.localCrc ?? crc,
      compressed,
      part.localSize ?? size,
      localName,
      localExtra,
    ),
    localName,
    localExtra,
    payload,
    part.after ?? Buffer.alloc(0),
  ]);
  const extra = part.centralExtra ?? Buffer.alloc(0);
  const comment = Buffer.from(part.comment ?? '');
  const central = Buffer.concat([
    u32(0x02014b50),
    u16(0x0314),
    head(flags, honestMethod, crc, compressed, size, name, extra),
    u16(comment.length),
    u16(0),
    u16(0),
    u32(part.attributes ?? ((part.mode ?? (isDirectoryName(name) ? 0o040755 : REGULAR)) << 16) >>> 0),
    u32(part.localOffset ?? offset),
    name,
    extra,
    comment,
  ]);
  return { local, central };
}

/** A data descriptor, with or without its signature, narrow or wide. */
export function descriptor(crc: number, compressed: number, size: number, hasSignature = true, isWide = false): Buffer {
  const number = isWide ? u64 : u32;
  return Buffer.concat([hasSignature ? u32(0x08074b50) : Buffer.alloc(0), u32(crc), number(compressed), number(size)]);
}

function zip64End(at: number, lie: { entries: number; size: number; offset: number }): Buffer[] {
  const record = [u32(0x06064b50), u64(44), u16(45), u16(45), u32(0), u32(0)];
  const numbers = [u64(lie.entries), u64(lie.entries), u64(lie.size), u64(lie.offset)];
  return [...record, ...numbers, u32(0x07064b50), u32(0), u64(at), u32(1)];
}

/** A few kilobytes whose members all share one compressed kernel (after Fifield): overlapping entries. */
export function overlappingBomb(members = 100): Buffer {
  const kernel = deflateRawSync(Buffer.alloc(1024 * 1024));
  const data = Buffer.alloc(1024 * 1024);
  const first: ZipPart = { name: 'k0', data, payload: kernel };
  const rest = Array.from(
    { length: members - 1 },
    (_, index): ZipPart => ({
      name: `k${index + 1}`,
      data,
      payload: Buffer.alloc(0),
      compressedSize: kernel.length,
      localOffset: 0,
    }),
  );
  return buildZip([first, ...rest]);
}

export interface TarPart {
  readonly name: string | Buffer;
  readonly data?: Buffer | string;
  readonly type?: string;
  readonly mode?: number;
  readonly linkName?: string;
  readonly size?: number;
  readonly prefix?: string;
  readonly checksum?: number;
}

export function buildTar(parts: readonly TarPart[], end: Buffer = Buffer.alloc(1024)): Buffer {
  return Buffer.concat([...parts.flatMap(tarPart), end]);
}

export const buildTarGz = (parts: readonly TarPart[]): Buffer => gzipSync(buildTar(parts));

/** A pax header for the next entry. */
export function pax(records: Readonly<Record<string, string>>, type: 'x' | 'g' = 'x'): TarPart {
  const lines = Object.entries(records).map(([key, value]) => {
    const body = ` ${key}=${value}\n`;
    let length = Buffer.byteLength(body);
    while (Buffer.byteLength(`${length}${body}`) !== length) length = Buffer.byteLength(`${length}${body}`);
    return `${length}${body}`;
  });
  return { name: 'PaxHeader', type, data: lines.join('') };
}

function tarPart(part: TarPart): Buffer[] {
  const data = Buffer.from(part.data ?? '');
  const header = Buffer.alloc(512);
  Buffer.from(part.name).copy(header, 0, 0, 100);
  header.write(`${(part.mode ?? 0o644).toString(8).padStart(7, '0')}\0`, 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${(part.size ?? data.length).toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(part.type ?? '0', 156);
  header.write(part.linkName ?? '', 157);
  header.write('ustar\x0000', 257);
  header.write(part.prefix ?? '', 345);
  const sum = part.checksum ?? header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return [header, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
}

const isDirectoryName = (name: Buffer): boolean => name.at(-1) === 0x2f;
const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
};
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

export const zipExtra = (id: number, body: Buffer): Buffer => Buffer.concat([u16(id), u16(body.length), body]);

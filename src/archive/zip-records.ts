// The records of a ZIP file (APPNOTE 6.3.10, section 4.3), parsed and checked one at a time. Pure: bytes in, values out.
import { quote, refuse } from './refusal.ts';

export const END_BYTES = 22;
export const ZIP64_LOCATOR_BYTES = 20;
export const ZIP64_END_BYTES = 56;
export const CENTRAL_BYTES = 46;
export const LOCAL_BYTES = 30;

const SIGNATURE = {
  local: 0x04034b50,
  central: 0x02014b50,
  end: 0x06054b50,
  zip64End: 0x06064b50,
  zip64Locator: 0x07064b50,
  descriptor: 0x08074b50,
} as const;

const FULL_16 = 0xffff;
const FULL_32 = 0xffffffff;

/** Where the central directory lies. */
export interface CentralDirectory {
  readonly entries: number;
  readonly size: number;
  readonly offset: number;
}

/** A central header, with Zip64 values put in their places. */
export interface CentralHeader {
  readonly nameBytes: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly localOffset: number;
  readonly externalAttributes: number;
  /** Bytes of the whole record. */
  readonly length: number;
}

export interface LocalHeader {
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
}

export const isZip64Locator = (bytes: Buffer): boolean =>
  bytes.length === ZIP64_LOCATOR_BYTES && bytes.readUInt32LE(0) === SIGNATURE.zip64Locator;

/** The last 22 bytes of the file. A comment would put the record elsewhere, and would be a place to hide things. */
export function parseEnd(bytes: Buffer): CentralDirectory {
  if (bytes.readUInt32LE(0) !== SIGNATURE.end || bytes.readUInt16LE(20) !== 0) {
    throw refuse('it does not end with a ZIP end record (not a ZIP file, truncated, or with data after its end)');
  }
  if (![0, FULL_16].includes(bytes.readUInt16LE(4)) || ![0, FULL_16].includes(bytes.readUInt16LE(6))) {
    throw refuse('it is part of a multi-disk archive');
  }
  const entries = bytes.readUInt16LE(10);
  if (bytes.readUInt16LE(8) !== entries) throw refuse('its end record contradicts itself');
  return { entries, size: bytes.readUInt32LE(12), offset: bytes.readUInt32LE(16) };
}

/** Where the locator says that the Zip64 end record starts. */
export function parseZip64Locator(bytes: Buffer): number {
  if (bytes.readUInt32LE(4) !== 0 || bytes.readUInt32LE(16) > 1) throw refuse('it is part of a multi-disk archive');
  return safe(bytes.readBigUInt64LE(8));
}

/** The Zip64 end record; it must agree with every field that the 32-bit record does not leave open. */
export function parseZip64End(bytes: Buffer, narrow: CentralDirectory): CentralDirectory {
  if (bytes.readUInt32LE(0) !== SIGNATURE.zip64End || safe(bytes.readBigUInt64LE(4)) !== ZIP64_END_BYTES - 12) {
    throw refuse('its Zip64 end record is malformed');
  }
  if (bytes.readUInt32LE(16) !== 0 || bytes.readUInt32LE(20) !== 0) throw refuse('it is part of a multi-disk archive');
  const entries = safe(bytes.readBigUInt64LE(32));
  const wide = { entries, size: safe(bytes.readBigUInt64LE(40)), offset: safe(bytes.readBigUInt64LE(48)) };
  const agrees =
    safe(bytes.readBigUInt64LE(24)) === entries &&
    [entries, FULL_16].includes(narrow.entries) &&
    [wide.size, FULL_32].includes(narrow.size) &&
    [wide.offset, FULL_32].includes(narrow.offset);
  if (!agrees) throw refuse('its Zip64 end record contradicts its end record');
  return wide;
}

/** 6.3: the last version of the format that readers know. */
const MAX_VERSION_NEEDED = 63;

export function parseCentralHeader(directory: Buffer, at: number): CentralHeader {
  if (at + CENTRAL_BYTES > directory.length || directory.readUInt32LE(at) !== SIGNATURE.central) {
    throw refuse('its central directory is malformed');
  }
  const u16 = (offset: number): number => directory.readUInt16LE(at + offset);
  const u32 = (offset: number): number => directory.readUInt32LE(at + offset);
  const nameEnd = at + CENTRAL_BYTES + u16(28);
  const extraEnd = nameEnd + u16(30);
  const end = extraEnd + u16(32);
  if (end > directory.length) throw refuse('its central directory is malformed');
  const nameBytes = directory.subarray(at + CENTRAL_BYTES, nameEnd);
  const where = quote(nameBytes.toString('latin1'));
  if (u16(32) !== 0) throw refuse(`${where} has a comment`);
  // Torch ignores the field, Python refuses the whole archive for it: whoever scans with one loads with the other.
  if (u16(6) > MAX_VERSION_NEEDED) throw refuse(`${where} needs a newer reader than there is`);
  if (u16(34) !== 0) throw refuse('it is part of a multi-disk archive');
  const [size, compressedSize, localOffset] = widen(
    directory.subarray(nameEnd, extraEnd),
    [u32(24), u32(20), u32(42)],
    where,
  );
  return {
    nameBytes,
    flags: u16(8),
    method: u16(10),
    crc32: u32(16),
    compressedSize: compressedSize!,
    size: size!,
    localOffset: localOffset!,
    externalAttributes: u32(38),
    length: end - at,
  };
}

/** `bytes` holds the fixed part, the name and the extra fields. */
export function parseLocalHeader(bytes: Buffer, central: CentralHeader): LocalHeader {
  const nameEnd = LOCAL_BYTES + central.nameBytes.length;
  const where = quote(central.nameBytes.toString('latin1'));
  const extra = bytes.subarray(nameEnd);
  const [size, compressedSize] = widen(extra, [bytes.readUInt32LE(22), bytes.readUInt32LE(18)], where);
  return {
    flags: bytes.readUInt16LE(6),
    method: bytes.readUInt16LE(8),
    crc32: bytes.readUInt32LE(14),
    compressedSize: compressedSize!,
    size: size!,
  };
}

/** Bytes of name and extra field that follow the fixed part, or a refusal when this is no local header of that name. */
export function localTailBytes(fixed: Buffer, central: CentralHeader): number {
  if (fixed.readUInt32LE(0) !== SIGNATURE.local || fixed.readUInt16LE(26) !== central.nameBytes.length) {
    throw refuse(`${quote(central.nameBytes.toString('latin1'))} has a local header that contradicts the directory`);
  }
  return fixed.readUInt16LE(26) + fixed.readUInt16LE(28);
}

/** Both widths, with and without the signature, are in use; the gap to the next record says which one it must be. */
export function isDescriptorOf(bytes: Buffer, central: CentralHeader): boolean {
  const hasSignature = bytes.length === 16 || bytes.length === 24;
  if (hasSignature && bytes.readUInt32LE(0) !== SIGNATURE.descriptor) return false;
  const fields = hasSignature ? bytes.subarray(4) : bytes;
  if (fields.length !== 12 && fields.length !== 20) return false;
  if (fields.readUInt32LE(0) !== central.crc32) return false;
  return fields.length === 12
    ? fields.readUInt32LE(4) === central.compressedSize && fields.readUInt32LE(8) === central.size
    : fields.readBigUInt64LE(4) === BigInt(central.compressedSize) &&
        fields.readBigUInt64LE(12) === BigInt(central.size);
}

/** Fields that change a member's name, comment or encryption behind the header's back. */
const REFUSED_EXTRAS = new Map([
  [0x7075, 'a second name'],
  [0x6375, 'a second comment'],
  [0x9901, 'encryption'],
  [0x0017, 'encryption'],
]);

/** Puts Zip64 values where the 32-bit fields are full, in the order of APPNOTE 4.5.3. */
function widen(extra: Buffer, narrow: readonly number[], where: string): number[] {
  let zip64: Buffer | null = null;
  for (let at = 0; at < extra.length;) {
    const end = at + 4 <= extra.length ? at + 4 + extra.readUInt16LE(at + 2) : Infinity;
    if (end > extra.length) throw refuse(`${where} has a malformed extra field`);
    const id = extra.readUInt16LE(at);
    if (REFUSED_EXTRAS.has(id)) throw refuse(`${where} has ${REFUSED_EXTRAS.get(id)} in an extra field`);
    if (id === 0x0001) {
      if (zip64 !== null) throw refuse(`${where} has two Zip64 fields`);
      zip64 = extra.subarray(at + 4, end);
    }
    at = end;
  }
  let used = 0;
  const values = narrow.map((value) => {
    if (value !== FULL_32) return value;
    if (zip64 === null || used + 8 > zip64.length) throw refuse(`${where} lacks its Zip64 sizes`);
    used += 8;
    return safe(zip64.readBigUInt64LE(used - 8));
  });
  // Writers that do not know the size yet reserve the field although the header has room: then both must agree.
  const reserved = used === 0 && zip64 !== null ? zip64.subarray(0, 16) : Buffer.alloc(0);
  for (let at = 0; at + 8 <= reserved.length; at += 8) {
    const wide = safe(reserved.readBigUInt64LE(at));
    if (wide !== 0 && wide !== narrow[at / 8]) throw refuse(`${where} has Zip64 sizes that contradict its header`);
  }
  return values;
}

function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse('it declares an impossible size');
  return Number(value);
}

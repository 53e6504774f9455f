// A strict ZIP reader: the central directory and every local header must tell one and the same story about every byte.
//
// The author of the archive controls all of it. Two readers that disagree about an archive are how scanners are bypassed,
// so anything that real writers do not produce is refused: gaps, overlaps, prefixes, comments, two names for one file.
import type { ContainerIndex, Member } from './container.ts';
import { unpackedCeiling, type ContainerLimits } from './limits.ts';
import { checkMemberName, decodeName, NameLedger } from './member-name.ts';
import { readExactly, type RandomAccess } from './random-access.ts';
import { quote, refuse } from './refusal.ts';
import {
  CENTRAL_BYTES,
  END_BYTES,
  isDescriptorOf,
  isZip64Locator,
  LOCAL_BYTES,
  localTailBytes,
  parseCentralHeader,
  parseEnd,
  parseLocalHeader,
  parseZip64End,
  parseZip64Locator,
  ZIP64_END_BYTES,
  ZIP64_LOCATOR_BYTES,
  type CentralDirectory,
  type CentralHeader,
} from './zip-records.ts';

/** Extra fields of one entry: real ones have tens of bytes. */
const MAX_EXTRA_BYTES = 1024;

interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
  readonly header: CentralHeader;
}

/** Reads and checks the whole structure without unpacking anything. Throws `archive_refused`. */
export async function readZipIndex(source: RandomAccess, limits: ContainerLimits): Promise<ContainerIndex> {
  const directory = await findDirectory(source);
  const entries = await readEntries(source, directory, limits);
  const members: Member[] = [];
  let totalBytes = 0;
  let at = 0;
  const ordered = entries.toSorted((a, b) => a.header.localOffset - b.header.localOffset);
  for (const [index, entry] of ordered.entries()) {
    const end = ordered[index + 1]?.header.localOffset ?? directory.offset;
    // Entries must cover the file from its first byte to the directory, edge to edge.
    if (entry.header.localOffset !== at) throw refuse('it has bytes that belong to no member, or members that overlap');
    const offset = await checkLocal(source, entry, end);
    at = end;
    if (entry.isDirectory) continue;
    const { size, compressedSize, method, crc32 } = entry.header;
    if (size > limits.maxMemberBytes) throw refuse(`${quote(entry.name)} is too large`);
    totalBytes += size;
    const methodName = method === 8 ? 'deflate' : 'stored';
    members.push({ name: entry.name, size, method: methodName, offset, compressedSize, crc32 });
  }
  if (at !== directory.offset) throw refuse('it has bytes that belong to no member');
  if (totalBytes > unpackedCeiling(source.size, limits)) throw refuse('it unpacks to more than its size allows');
  return { members, totalBytes };
}

async function findDirectory(source: RandomAccess): Promise<CentralDirectory> {
  if (source.size < END_BYTES) throw refuse('it is not a ZIP file');
  const endAt = source.size - END_BYTES;
  let directory = parseEnd(await readExactly(source, endAt, END_BYTES));
  let directoryEnd = endAt;
  const locatorAt = endAt - ZIP64_LOCATOR_BYTES;
  const locator = locatorAt < 0 ? null : await readExactly(source, locatorAt, ZIP64_LOCATOR_BYTES);
  if (locator !== null && isZip64Locator(locator)) {
    directoryEnd = locatorAt - ZIP64_END_BYTES;
    if (parseZip64Locator(locator) !== directoryEnd) throw refuse('its Zip64 end record is not where it belongs');
    directory = parseZip64End(await readExactly(source, directoryEnd, ZIP64_END_BYTES), directory);
  }
  if (directory.offset + directory.size !== directoryEnd) {
    throw refuse('its central directory is not where it belongs (bytes before, between or after the members)');
  }
  return directory;
}

async function readEntries(
  source: RandomAccess,
  directory: CentralDirectory,
  limits: ContainerLimits,
): Promise<readonly Entry[]> {
  const { entries: count, size } = directory;
  if (count > limits.maxEntries) throw refuse(`it has more than ${limits.maxEntries} members`);
  if (size > count * (CENTRAL_BYTES + limits.maxNameBytes + MAX_EXTRA_BYTES)) {
    throw refuse('its central directory is too large');
  }
  const bytes = await readExactly(source, directory.offset, size);
  const names = new NameLedger();
  const entries: Entry[] = [];
  let at = 0;
  while (entries.length < count) {
    const header = parseCentralHeader(bytes, at);
    entries.push(checkEntry(header, limits, names));
    at += header.length;
  }
  if (at !== size) throw refuse('its central directory has more members than it counts');
  return entries;
}

const FLAG_ENCRYPTED = 0x0001;
const FLAG_DESCRIPTOR = 0x0008;
const FLAG_UTF8 = 0x0800;
/** Bits 1 and 2 only say how hard the compressor tried. */
const FLAGS_KNOWN = 0x0006 | FLAG_DESCRIPTOR | FLAG_UTF8;

function checkEntry(header: CentralHeader, limits: ContainerLimits, names: NameLedger): Entry {
  const spelled = decodeName(header.nameBytes);
  const isDirectory = spelled.endsWith('/');
  const name = isDirectory ? spelled.slice(0, -1) : spelled;
  checkMemberName(name, limits);
  const no = (why: string) => refuse(`${quote(name)} ${why}`);
  if ((header.flags & FLAG_ENCRYPTED) !== 0) throw no('is encrypted');
  if ((header.flags & ~FLAGS_KNOWN) !== 0) throw no('uses unknown flags');
  // Without the flag the name is in code page 437, and some readers would see another name.
  if ((header.flags & FLAG_UTF8) === 0 && header.nameBytes.some((byte) => byte > 0x7f)) {
    throw no('is not ASCII and not marked as UTF-8');
  }
  if (header.method !== 0 && header.method !== 8) throw no('is compressed with a method other than deflate');
  if (header.method === 0 && header.size !== header.compressedSize) throw no('is stored with two sizes');
  if (isDirectory && (header.size !== 0 || header.compressedSize !== 0)) throw no('is a directory with content');
  checkAttributes(header.externalAttributes, isDirectory, no);
  if (isDirectory) names.addDirectory(name);
  else names.addFile(name);
  return { name, isDirectory, header };
}

const DOS_VOLUME_OR_DIRECTORY = 0x18;

/** High half: Unix mode, whatever system the entry claims to come from. Low half: DOS attributes. */
function checkAttributes(attributes: number, isDirectory: boolean, no: (why: string) => Error): void {
  const mode = attributes >>> 16;
  const type = mode & 0o170000;
  if (type !== 0 && type !== 0o100000 && type !== 0o040000) throw no('is a link or a special file');
  if (type !== 0 && (type === 0o040000) !== isDirectory) throw no('is a file and a directory at once');
  if ((mode & 0o7000) !== 0) throw no('has a setuid, setgid or sticky mode');
  if (!isDirectory && (attributes & DOS_VOLUME_OR_DIRECTORY) !== 0) throw no('is a file and a directory at once');
}

/** Compares the local header with the directory and returns where the member's bytes start. `end`: the next record. */
async function checkLocal(source: RandomAccess, entry: Entry, end: number): Promise<number> {
  const { header, name } = entry;
  const start = header.localOffset;
  const no = (why: string) => refuse(`${quote(name)} ${why}`);
  const fixed = await readExactly(source, start, LOCAL_BYTES);
  const tail = localTailBytes(fixed, header);
  if (tail > header.nameBytes.length + MAX_EXTRA_BYTES) throw no('has too large an extra field');
  const bytes = await readExactly(source, start, LOCAL_BYTES + tail);
  const local = parseLocalHeader(bytes, header);
  const localName = bytes.subarray(LOCAL_BYTES, LOCAL_BYTES + header.nameBytes.length);
  const hasDescriptor = (header.flags & FLAG_DESCRIPTOR) !== 0;
  // With a descriptor the local fields may still be zero: the writer did not know yet.
  const agree = (field: 'crc32' | 'size' | 'compressedSize'): boolean =>
    local[field] === header[field] || (hasDescriptor && local[field] === 0);
  const isSame =
    localName.equals(header.nameBytes) &&
    local.flags === header.flags &&
    local.method === header.method &&
    agree('crc32') &&
    agree('size') &&
    agree('compressedSize');
  if (!isSame) throw no('has a local header that contradicts the directory');
  const dataStart = start + LOCAL_BYTES + tail;
  const dataEnd = dataStart + header.compressedSize;
  const rest = end - dataEnd;
  if (hasDescriptor) {
    if (rest < 12 || rest > 24) throw no('overlaps its neighbour or leaves a gap');
    if (!isDescriptorOf(await readExactly(source, dataEnd, rest), header)) throw no('has a wrong data descriptor');
  } else if (rest !== 0) {
    throw no('overlaps its neighbour or leaves a gap');
  }
  return dataStart;
}

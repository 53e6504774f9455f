// A strict tar reader (POSIX ustar and pax, GNU long names) for unpacked .tar.gz archives (surface spec 8.1).
//
// Regular files and directories only. TorchServe wrote links as empty files; here an archive with a link is refused.
import type { ContainerIndex, Member } from './container.ts';
import type { ContainerLimits } from './limits.ts';
import { checkMemberName, decodeName, NameLedger } from './member-name.ts';
import { readExactly, readRange, type RandomAccess } from './random-access.ts';
import { quote, refuse } from './refusal.ts';

const BLOCK_BYTES = 512;
/** One pax or long-name record: a name of the largest size plus a few numbers. */
const MAX_EXTENSION_BYTES = 64 * 1024;

/** What an extension header says about the entry after it. */
interface Extension {
  path?: string;
  size?: number;
}

/** Reads and checks the whole structure of an uncompressed tar. Throws `archive_refused`. */
export async function readTarIndex(source: RandomAccess, limits: ContainerLimits): Promise<ContainerIndex> {
  const names = new NameLedger();
  const members: Member[] = [];
  let totalBytes = 0;
  let extension: Extension = {};
  let headers = 0;
  let at = 0;
  for (;;) {
    const block = await readExactly(source, at, BLOCK_BYTES);
    if (isZero(block)) break;
    headers += 1;
    // Extensions count too: each real entry may have two.
    if (headers > limits.maxEntries * 3) throw refuse(`it has more than ${limits.maxEntries} members`);
    const header = parseHeader(block);
    const size = header.kind === 'extension' ? header.size : (extension.size ?? header.size);
    const dataAt = at + BLOCK_BYTES;
    if (dataAt + size > source.size) throw refuse('it is truncated');
    at = dataAt + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    if (header.kind === 'extension') {
      if (size > MAX_EXTENSION_BYTES) throw refuse('it has too large an extension header');
      extension = readExtension(header.type, await readExactly(source, dataAt, size), extension);
      continue;
    }
    const name = dropFirstComponent(extension.path ?? header.name);
    extension = {};
    if (header.kind === 'directory') {
      if (size !== 0) throw refuse(`${quote(name)} is a directory with content`);
      const directory = name.replace(/\/$/, '');
      if (directory === '') continue;
      checkMemberName(directory, limits);
      names.addDirectory(directory);
      continue;
    }
    checkMemberName(name, limits);
    names.addFile(name);
    if (members.length >= limits.maxEntries) throw refuse(`it has more than ${limits.maxEntries} members`);
    if (size > limits.maxMemberBytes) throw refuse(`${quote(name)} is too large`);
    totalBytes += size;
    if (totalBytes > limits.maxTotalBytes) throw refuse('it unpacks to more than its size allows');
    members.push({ name, size, method: 'stored', offset: dataAt, compressedSize: size, crc32: null });
  }
  if (extension.path !== undefined || extension.size !== undefined) throw refuse('its last extension header is unused');
  await checkEnd(source, at);
  return { members, totalBytes };
}

/** Every entry loses its first path component; a file at the top level keeps its name (surface spec 8.1). */
function dropFirstComponent(path: string): string {
  const slash = path.indexOf('/');
  const first = slash < 0 ? '' : path.slice(0, slash);
  if (slash === 0) throw refuse(`member name ${quote(path)} is absolute`);
  if (first === '..') throw refuse(`member name ${quote(path)} has a relative segment`);
  return slash < 0 && path === '.' ? '' : path.slice(slash + 1);
}

/** Two zero blocks, then zeros to the end: whatever else follows is for another reader. */
async function checkEnd(source: RandomAccess, at: number): Promise<void> {
  if (source.size - at < 2 * BLOCK_BYTES) throw refuse('it lacks its end blocks');
  for await (const piece of readRange(source, at, source.size - at)) {
    if (!isZero(piece)) throw refuse('it has data after its end');
  }
}

type Header =
  | { readonly kind: 'extension'; readonly type: 'x' | 'g' | 'L'; readonly size: number }
  | { readonly kind: 'file' | 'directory'; readonly name: string; readonly size: number };

function parseHeader(block: Buffer): Header {
  let sum = 0;
  for (let at = 0; at < BLOCK_BYTES; at += 1) sum += at >= 148 && at < 156 ? 0x20 : block[at]!;
  if (octal(block.subarray(148, 156)) !== sum) throw refuse('it is not a tar file, or a header is damaged');
  const size = readSize(block.subarray(124, 136));
  const type = String.fromCharCode(block[156]!);
  if (type === 'x' || type === 'g' || type === 'L') return { kind: 'extension', type, size };
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? decodeName(text(block.subarray(345, 500))) : '';
  const base = decodeName(text(block.subarray(0, 100)));
  const name = prefix === '' ? base : `${prefix}/${base}`;
  if ((octal(block.subarray(100, 108)) & 0o7000) !== 0) {
    throw refuse(`${quote(name)} has a setuid, setgid or sticky mode`);
  }
  if (type === '5') return { kind: 'directory', name, size };
  if (type !== '0' && type !== '\0') throw refuse(`${quote(name)} is a link or a special file`);
  if (name.endsWith('/')) throw refuse(`${quote(name)} is a file and a directory at once`);
  return { kind: 'file', name, size };
}

function readExtension(type: 'x' | 'g' | 'L', body: Buffer, pending: Extension): Extension {
  if (type === 'L') {
    if (pending.path !== undefined) throw refuse('it names one member twice');
    if (body.at(-1) !== 0) throw refuse('it has a malformed long name');
    return { ...pending, path: decodeName(body.subarray(0, -1)) };
  }
  const extension = { ...pending };
  for (const [key, value] of paxRecords(body)) {
    if (key === 'linkpath' || key.startsWith('GNU.sparse')) throw refuse('it has a link or a sparse file');
    if (key !== 'path' && key !== 'size' && key !== 'hdrcharset') continue;
    // A global header changes the meaning of every later entry, and readers differ on when it ends.
    if (type === 'g' || key === 'hdrcharset') throw refuse('it has an extension header that readers disagree about');
    if (extension[key] !== undefined) throw refuse('it describes one member twice');
    if (key === 'path') extension.path = value;
    else if (/^\d{1,15}$/.test(value)) extension.size = Number(value);
    else throw refuse('it has a malformed size');
  }
  return extension;
}

/** `length SP key=value LF`, length counting itself. */
function* paxRecords(body: Buffer): Generator<[string, string]> {
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const digits = space < 0 ? '' : body.toString('latin1', at, space);
    const end = /^[1-9]\d{0,5}$/.test(digits) ? at + Number(digits) : Infinity;
    if (end > body.length || body[end - 1] !== 0x0a || end <= space)
      throw refuse('it has a malformed extension header');
    const record = decodeName(body.subarray(space + 1, end - 1));
    const equals = record.indexOf('=');
    if (equals <= 0) throw refuse('it has a malformed extension header');
    yield [record.slice(0, equals), record.slice(equals + 1)];
    at = end;
  }
}

const isZero = (bytes: Buffer): boolean => bytes.equals(ZEROS.subarray(0, bytes.length));
const ZEROS = Buffer.alloc(1024 * 1024);

/** A field up to its first NUL; what follows must be NUL as well, or two readers see two names. */
function text(field: Buffer): Buffer {
  const zero = field.indexOf(0);
  if (zero < 0) return field;
  if (!isZero(field.subarray(zero))) throw refuse('it has a header field with data after its end');
  return field.subarray(0, zero);
}

function octal(field: Buffer): number {
  const digits = field
    .toString('latin1')
    .replace(/[ \0]+$/, '')
    .trimStart();
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw refuse('it is not a tar file, or a header is damaged');
  return Number.parseInt(digits, 8);
}

/** Octal text, or big-endian binary behind a 0x80 byte for files over 8 GiB (GNU). */
function readSize(field: Buffer): number {
  if (field[0] !== 0x80) return octal(field);
  if (!isZero(field.subarray(1, 6))) throw refuse('it declares an impossible size');
  return field.readUIntBE(6, 6);
}

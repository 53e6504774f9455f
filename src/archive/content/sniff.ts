// What a file is by its bytes, whatever it is called.
import type { RandomAccess } from '../random-access.ts';
import { GGUF_MAGIC } from './gguf.ts';
import { NPY_MAGIC } from './npy.ts';
import { MAX_HEADER_BYTES } from './safetensors.ts';

export type Format =
  | 'zip'
  | 'tar'
  | 'compressed'
  | 'executable'
  | 'hdf5'
  | 'flatbuffer'
  | 'npy'
  | 'gguf'
  | 'safetensors'
  | 'pickle'
  | 'image'
  | 'text'
  | 'unknown';

const HEAD_BYTES = 4096;
/** End record of a zip plus the longest comment. */
const TAIL_BYTES = 22 + 65_535;

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

const ZIP_END = latin1('PK\x05\x06');

const HDF5_MAGIC = latin1('\x89HDF\r\n\x1a\n');
/** A block of the user's own may stand before it: its readers try every power of two from here on. */
const HDF5_FIRST_BLOCK = 512;
/** Flatbuffers that are programs: TorchScript, which torch.jit.load knows by this mark alone; ExecuTorch; TensorFlow Lite; ORT. */
const PROGRAM_MARKS: ReadonlySet<string> = new Set(['PTMF', 'ET12', 'TFL3', 'ORTM']);

const MAGICS: readonly (readonly [Buffer, Format])[] = [
  [latin1('PK\x03\x04'), 'zip'],
  [latin1('PK\x05\x06'), 'zip'],
  [NPY_MAGIC, 'npy'],
  [GGUF_MAGIC, 'gguf'],
  [latin1('\x7fELF'), 'executable'],
  [latin1('\xfe\xed\xfa\xce'), 'executable'],
  [latin1('\xfe\xed\xfa\xcf'), 'executable'],
  [latin1('\xce\xfa\xed\xfe'), 'executable'],
  [latin1('\xcf\xfa\xed\xfe'), 'executable'],
  [latin1('\xca\xfe\xba\xbe'), 'executable'],
  [latin1('\x00asm'), 'executable'],
  [latin1('\x1f\x8b\x08'), 'compressed'],
  [latin1('\xfd7zXZ\x00'), 'compressed'],
  [latin1('7z\xbc\xaf\x27\x1c'), 'compressed'],
  [latin1('\x28\xb5\x2f\xfd'), 'compressed'],
  [latin1('\x04\x22\x4d\x18'), 'compressed'],
  [latin1('Rar!\x1a\x07'), 'compressed'],
  [latin1('\x89PNG'), 'image'],
  [latin1('\xff\xd8\xff'), 'image'],
  [latin1('GIF8'), 'image'],
  [latin1('RIFF'), 'image'],
];

export interface Sniffed {
  readonly format: Format;
  readonly head: Buffer;
  /** A zip directory lies at the end of a file that does not start as a zip. */
  readonly hasZipTail: boolean;
}

export async function sniff(file: RandomAccess): Promise<Sniffed> {
  const head = Buffer.from(await file.read(0, Math.min(HEAD_BYTES, file.size)));
  const format = (await isHdf5(file, head)) ? 'hdf5' : formatOf(head, file.size);
  const hasZipTail = format !== 'zip' && (await endsAsZip(file));
  return { format, head, hasZipTail };
}

/** Whatever else the file is: no honest content has the mark at one of these places. */
async function isHdf5(file: RandomAccess, head: Buffer): Promise<boolean> {
  const { length } = HDF5_MAGIC;
  if (head.subarray(0, length).equals(HDF5_MAGIC)) return true;
  for (let at = HDF5_FIRST_BLOCK; at + length <= file.size; at *= 2) {
    const found = at + length <= head.length ? head.subarray(at, at + length) : await file.read(at, length);
    if (HDF5_MAGIC.equals(found)) return true;
  }
  return false;
}

function formatOf(head: Buffer, size: number): Format {
  // First, because the length it starts with may be any short magic number: 640 bytes of header look like a pickle.
  if (isSafetensors(head, size)) return 'safetensors';
  for (const [magic, format] of MAGICS) if (head.subarray(0, magic.length).equals(magic)) return format;
  if (PROGRAM_MARKS.has(head.toString('latin1', 4, 8))) return 'flatbuffer';
  if (isBzip2(head) || isLzma(head)) return 'compressed';
  if (isWindowsProgram(head)) return 'executable';
  if (head.length > 262 && head.toString('latin1', 257, 262) === 'ustar') return 'tar';
  if (isOldTar(head)) return 'tar';
  if (head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5) return 'pickle';
  return isText(head) ? 'text' : 'unknown';
}

function isBzip2(head: Buffer): boolean {
  return /^BZh[1-9]1AY/.test(head.toString('latin1', 0, 7));
}

/** The .lzma format has no magic number: usual properties, then a size that is unknown or small. */
function isLzma(head: Buffer): boolean {
  return head.length > 13 && head.readUIntBE(0, 3) === 0x5d0000 && (head[12] === 0xff || head.readUInt32LE(9) === 0);
}

function isWindowsProgram(head: Buffer): boolean {
  if (head.length < 64 || head.toString('latin1', 0, 2) !== 'MZ') return false;
  const at = head.readUInt32LE(60);
  return at + 4 > head.length || head.toString('latin1', at, at + 4) === 'PE\0\0';
}

/** Tar before POSIX has no magic, but a checksum of its header. */
function isOldTar(head: Buffer): boolean {
  if (head.length < 512 || head[0] === 0) return false;
  const stated = /^ *([0-7]{1,6})[\0 ]/.exec(head.toString('latin1', 148, 156))?.[1];
  if (stated === undefined) return false;
  let sum = 8 * 0x20;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += head[i] as number;
  return sum === parseInt(stated, 8);
}

function isSafetensors(head: Buffer, size: number): boolean {
  return (
    head.length >= 10 && head[8] === 0x7b && head.readBigUInt64LE(0) <= BigInt(Math.min(size - 8, MAX_HEADER_BYTES))
  );
}

/** No control characters that text does not use. Multi-byte characters may be cut at the end of the head. */
function isText(head: Buffer): boolean {
  return head.every((byte) => byte >= 0x20 || (byte >= 0x07 && byte <= 0x0d) || byte === 0x1b);
}

async function endsAsZip(file: RandomAccess): Promise<boolean> {
  const start = Math.max(0, file.size - TAIL_BYTES);
  const tail = Buffer.from(await file.read(start, file.size - start));
  for (let at = tail.lastIndexOf(ZIP_END); at >= 0;) {
    if (at + 22 <= tail.length) {
      const directoryBytes = tail.readUInt32LE(at + 12);
      const isComplete = at + 22 + tail.readUInt16LE(at + 20) <= tail.length;
      const directoryAt = at - directoryBytes;
      // The directory of a real zip lies right before its end record (or reaches out of this window).
      if (isComplete && (directoryAt < 0 || tail.toString('latin1', directoryAt, directoryAt + 2) === 'PK'))
        return true;
    }
    at = at === 0 ? -1 : tail.lastIndexOf(ZIP_END, at - 1);
  }
  return false;
}

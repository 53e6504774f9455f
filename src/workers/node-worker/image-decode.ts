// PNG and JPEG bytes from a client become pixels. Dimensions and decompressed size are checked before anything is allocated.
import { deflateSync, inflateSync } from 'node:zlib';
import { decode as decodePng } from 'fast-png';
import jpeg from 'jpeg-js';
import { PredictionError } from './handler-api.ts';

export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** 1 is grey, 3 is RGB. */
  readonly channels: 1 | 3;
  /** Row by row, channels interleaved. */
  readonly data: Uint8Array;
}

export type ImageKind = 'png' | 'jpeg';

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Chunks that change pixels. The rest can hold compressed bombs of its own and is left out. */
const PIXEL_CHUNKS = new Set(['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND']);
const BITS_PER_BYTE = 8;
/** jpeg-js counts its own tables and planes: about 20 bytes a pixel for a colour image. */
const JPEG_BYTES_PER_PIXEL = 24;
const MIB = 1024 * 1024;

/** By signature: what a client calls its bytes decides nothing. */
export function sniffImage(bytes: Uint8Array): ImageKind | undefined {
  if (bytes.length > 8 && PNG_SIGNATURE.equals(bytes.subarray(0, 8))) return 'png';
  return bytes.length > 3 && bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff ? 'jpeg' : undefined;
}

/** Throws a PredictionError (400) for anything that is not a whole image of at most `maxPixels`. */
export function decodeImage(bytes: Buffer, maxPixels: number): Pixels {
  const kind = sniffImage(bytes);
  if (kind === undefined) throw bad('The body is neither a PNG nor a JPEG image.');
  try {
    return kind === 'png' ? fromPng(bytes, maxPixels) : fromJpeg(bytes, maxPixels);
  } catch (error) {
    if (error instanceof PredictionError) throw error;
    throw bad(`The ${kind.toUpperCase()} image cannot be decoded.`, error);
  }
}

function fromPng(bytes: Buffer, maxPixels: number): Pixels {
  const image = decodePng(boundedPng(bytes, maxPixels));
  const { width, height, depth } = image;
  let { channels, data } = image as { channels: number; data: Uint8Array | Uint8ClampedArray | Uint16Array };
  if (image.palette !== undefined) {
    data = expandPalette(unpack(data, width, height, depth), image.palette);
    channels = 3;
  } else if (depth === 16) {
    data = Uint8Array.from(data, (value) => value >> 8);
  } else if (depth < 8) {
    const scale = 255 / (2 ** depth - 1);
    data = unpack(data, width, height, depth).map((value) => value * scale);
  }
  const kept = channels < 3 ? 1 : 3;
  return { width, height, channels: kept, data: dropAlpha(data as Uint8Array, channels, kept) };
}

/** The same image with only its pixel chunks, after the compressed data has been inflated once under a limit. */
function boundedPng(bytes: Buffer, maxPixels: number): Uint8Array {
  const chunks = [...readChunks(bytes)];
  const header = chunks[0];
  if (header?.type !== 'IHDR' || header.data.length !== 13) throw bad('The PNG image does not begin with its header.');
  const width = header.data.readUInt32BE(0);
  const height = header.data.readUInt32BE(4);
  assertPixels(width, height, maxPixels);
  const depth = header.data[8]!;
  const samples = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[header.data[9]!] ?? 4;
  // One filter byte a row; interlacing has up to seven passes with rows of their own.
  const rows = header.data[12] === 0 ? height : 2 * height + 7;
  const longest = Math.ceil((width * samples * depth) / BITS_PER_BYTE) * height + rows * 2 + 8 * samples;
  const packed = Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data));
  const pixels = inflateSync(packed, { maxOutputLength: longest });
  const idat = deflateSync(pixels, { level: 0 });
  return Buffer.concat([
    PNG_SIGNATURE,
    ...chunks.filter(({ type }) => type !== 'IDAT' && type !== 'IEND').map(({ type, data }) => pngChunk(type, data)),
    pngChunk('IDAT', idat),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

function* readChunks(bytes: Buffer): Generator<{ type: string; data: Buffer }> {
  let at = PNG_SIGNATURE.length;
  while (at + 12 <= bytes.length) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (at + 12 + length > bytes.length) throw bad('The PNG image is cut off.');
    if (PIXEL_CHUNKS.has(type)) yield { type, data: bytes.subarray(at + 8, at + 8 + length) };
    if (type === 'IEND') return;
    at += 12 + length;
  }
  throw bad('The PNG image is cut off.');
}

/** The checksum stays zero: fast-png does not check it unless asked. */
function pngChunk(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length, 0);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, data, Buffer.alloc(4)]);
}

function fromJpeg(bytes: Buffer, maxPixels: number): Pixels {
  const { width, height, data } = jpeg.decode(bytes, {
    useTArray: true,
    formatAsRGBA: false,
    tolerantDecoding: false,
    maxResolutionInMP: maxPixels / 1e6,
    maxMemoryUsageInMB: Math.ceil((maxPixels * JPEG_BYTES_PER_PIXEL) / MIB) + 16,
  });
  return { width, height, channels: 3, data };
}

function assertPixels(width: number, height: number, maxPixels: number): void {
  if (width === 0 || height === 0) throw bad('The image has no pixels.');
  if (width * height > maxPixels)
    throw bad(`The image has ${width}x${height} pixels; at most ${maxPixels} are accepted.`);
}

/** Samples of 1, 2 or 4 bits, each row padded to whole bytes, become one byte each. */
function unpack(data: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  if (depth === 8) return Uint8Array.from(data);
  const rowBytes = Math.ceil((width * depth) / BITS_PER_BYTE);
  const mask = 2 ** depth - 1;
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      out[y * width + x] = (data[y * rowBytes + (bit >> 3)]! >> (BITS_PER_BYTE - depth - (bit & 7))) & mask;
    }
  }
  return out;
}

function expandPalette(indices: Uint8Array, palette: readonly (readonly number[])[]): Uint8Array {
  const out = new Uint8Array(indices.length * 3);
  for (let at = 0; at < indices.length; at++) {
    const colour = palette[indices[at]!];
    if (colour === undefined) throw bad('The PNG image uses a colour that its palette does not have.');
    for (let channel = 0; channel < 3; channel++) out[at * 3 + channel] = colour[channel]!;
  }
  return out;
}

function dropAlpha(data: Uint8Array, channels: number, kept: number): Uint8Array {
  if (channels === kept) return data;
  const pixels = data.length / channels;
  const out = new Uint8Array(pixels * kept);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < kept; channel++) out[pixel * kept + channel] = data[pixel * channels + channel]!;
  }
  return out;
}

function bad(message: string, cause?: unknown): PredictionError {
  return Object.assign(new PredictionError(message, 400), { cause });
}

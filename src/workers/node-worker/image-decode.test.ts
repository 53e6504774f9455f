import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import * as fc from 'fast-check';
import { encode as encodePng } from 'fast-png';
import jpeg from 'jpeg-js';
import { isPredictionError } from './handler-api.ts';
import { decodeImage, sniffImage } from './image-decode.ts';

const MAX_PIXELS = 10_000;
const refused = { name: 'PredictionError', statusCode: 400 };
const grey = Buffer.from(
  encodePng({ width: 3, height: 2, channels: 1, depth: 8, data: Uint8Array.of(0, 50, 100, 150, 200, 255) }),
);

function chunk(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, data, Buffer.alloc(4)]);
}

/** A PNG with a header of our choice and any pixel data. */
function png(
  header: { width: number; height: number; depth: number; colour: number },
  scanlines: Buffer,
  ...more: Buffer[]
): Buffer {
  const ihdr = Buffer.alloc(13);
  ihdr.writeUInt32BE(header.width, 0);
  ihdr.writeUInt32BE(header.height, 4);
  ihdr[8] = header.depth;
  ihdr[9] = header.colour;
  return Buffer.concat([
    grey.subarray(0, 8),
    chunk('IHDR', ihdr),
    ...more,
    chunk('IDAT', deflateSync(scanlines)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

test('grey, colour and transparent PNGs decode to one or three channels', () => {
  assert.deepEqual([...decodeImage(grey, MAX_PIXELS).data], [0, 50, 100, 150, 200, 255]);
  const rgba = encodePng({ width: 1, height: 1, channels: 4, depth: 8, data: Uint8Array.of(10, 20, 30, 40) });
  assert.deepEqual([...decodeImage(Buffer.from(rgba), MAX_PIXELS).data], [10, 20, 30]);
});

test('PNGs of 1 bit and with a palette are unpacked', () => {
  const oneBit = png({ width: 10, height: 1, depth: 1, colour: 0 }, Buffer.from([0, 0b10100000, 0b01000000]));
  assert.deepEqual([...decodeImage(oneBit, MAX_PIXELS).data], [255, 0, 255, 0, 0, 0, 0, 0, 0, 255]);
  const palette = chunk('PLTE', Buffer.from([1, 2, 3, 4, 5, 6]));
  const indexed = png({ width: 2, height: 1, depth: 4, colour: 3 }, Buffer.from([0, 0x10]), palette);
  assert.deepEqual([...decodeImage(indexed, MAX_PIXELS).data], [4, 5, 6, 1, 2, 3]);
});

test('a JPEG decodes to RGB', () => {
  const data = Buffer.alloc(8 * 8 * 4, 128);
  const image = decodeImage(jpeg.encode({ width: 8, height: 8, data }, 90).data, MAX_PIXELS);
  assert.deepEqual([image.width, image.height, image.channels, image.data.length], [8, 8, 3, 192]);
});

test('too many pixels are refused by the header alone, in both formats', () => {
  const tall = jpeg.encode({ width: 200, height: 100, data: Buffer.alloc(80_000) }, 50).data;
  assert.throws(() => decodeImage(tall, MAX_PIXELS), refused);
  assert.throws(
    () => decodeImage(png({ width: 200, height: 100, depth: 8, colour: 0 }, Buffer.alloc(1)), MAX_PIXELS),
    refused,
  );
});

test('pixel data that inflates to more than the header announces is refused', () => {
  const bomb = png({ width: 2, height: 2, depth: 8, colour: 0 }, Buffer.alloc(50_000_000));
  assert.ok(bomb.length < 100_000);
  assert.throws(() => decodeImage(bomb, MAX_PIXELS), refused);
});

test('damaged images are refused, whatever is damaged', () => {
  const jpegBytes = jpeg.encode({ width: 16, height: 16, data: Buffer.alloc(1024, 90) }, 50).data;
  fc.assert(
    fc.property(fc.constantFrom(grey, jpegBytes), fc.nat(), fc.nat(255), fc.nat(), (original, at, value, cut) => {
      const damaged = Buffer.from(original);
      damaged[at % damaged.length] = value;
      try {
        decodeImage(damaged.subarray(0, damaged.length - (cut % 8)), MAX_PIXELS);
      } catch (error) {
        assert.ok(isPredictionError(error) && error.statusCode === 400, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('bytes are known by their signature', () => {
  assert.equal(sniffImage(grey), 'png');
  assert.equal(sniffImage(Buffer.from('{"instances": []}')), undefined);
});

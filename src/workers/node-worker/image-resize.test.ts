import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pixels } from './image-decode.ts';
import { centreCrop, resize, toMode } from './image-resize.ts';

const image: Pixels = {
  width: 7,
  height: 5,
  channels: 3,
  data: Uint8Array.from({ length: 7 * 5 * 3 }, (_, index) => (index * 37 + 11 * Math.floor(index / 7)) % 256),
};

/** Made with Pillow 13.0.0 from the same bytes: `Image.frombytes('RGB', (7, 5), data).resize((w, h), filter)`. */
const PILLOW = [
  ['bilinear', 3, 2, '637581827d88879681837e8a748e8078776e'],
  ['box', 3, 2, '6287817e6e7a789d988b709568908e8c7156'],
] as const;

for (const [filter, width, height, expected] of PILLOW) {
  test(`shrinking by ${filter} gives Pillow's bytes`, () => {
    assert.equal(Buffer.from(resize(image, width, height, filter).data).toString('hex'), expected);
  });
}

test("enlarging gives Pillow's bytes", () => {
  const { data } = resize(image, 10, 9, 'bilinear');
  assert.equal(
    Buffer.from(data.subarray(0, 30)).toString('hex'),
    '00254a3d62878b7398d8153a87567b7fa473c0e52263886f7398bdb0d5fa',
  );
});

test("grey is Pillow's luma", () => {
  const { data } = toMode(image, 'L');
  assert.equal(
    Buffer.from(data).toString('hex'),
    '1e8d5076c95fce48b72ea05d89db72c458ca3ab3229c5882d764c04cc635ac1e8e5476',
  );
});

test('the box filter undoes an enlargement of whole pixels', () => {
  const grey = toMode(image, 'L');
  const enlarged = { width: 28, height: 20, channels: 1, data: new Uint8Array(560) } as const;
  for (let at = 0; at < 560; at++)
    enlarged.data[at] = grey.data[Math.floor(at / 28 / 4) * 7 + Math.floor((at % 28) / 4)]!;
  assert.deepEqual(resize(enlarged, 7, 5, 'box').data, grey.data);
});

test('a crop takes the centre', () => {
  const grey: Pixels = { width: 4, height: 4, channels: 1, data: Uint8Array.from({ length: 16 }, (_, index) => index) };
  assert.deepEqual([...centreCrop(grey, 2, 2).data], [5, 6, 9, 10]);
});

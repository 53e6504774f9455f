// Resizing and colour conversion as Pillow does them, so that a Python handler and this worker see the same numbers.
import type { Pixels } from './image-decode.ts';

export type Resample = 'box' | 'bilinear';

interface Filter {
  readonly support: number;
  weigh(distance: number): number;
}

const FILTERS: Readonly<Record<Resample, Filter>> = {
  box: { support: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
};

/** Horizontal pass, then vertical, each rounded to bytes. */
export function resize(image: Pixels, width: number, height: number, resample: Resample): Pixels {
  const filter = FILTERS[resample];
  const wide = image.width === width ? image : resizeAxis(image, width, filter, 'x');
  return wide.height === height ? wide : resizeAxis(wide, height, filter, 'y');
}

function resizeAxis(image: Pixels, length: number, filter: Filter, axis: 'x' | 'y'): Pixels {
  const { channels, data } = image;
  const width = axis === 'x' ? length : image.width;
  const height = axis === 'y' ? length : image.height;
  const windows = windowsOf(axis === 'x' ? image.width : image.height, length, filter);
  const stride = axis === 'x' ? channels : image.width * channels;
  const out = new Uint8Array(width * height * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const { first, weights } = windows[axis === 'x' ? x : y]!;
      const start = axis === 'x' ? (y * image.width + first) * channels : (first * image.width + x) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0.5;
        for (let tap = 0; tap < weights.length; tap++) sum += data[start + channel + tap * stride]! * weights[tap]!;
        out[at++] = Math.max(0, Math.min(255, Math.floor(sum)));
      }
    }
  }
  return { width, height, channels, data: out };
}

interface Window {
  readonly first: number;
  readonly weights: Float64Array;
}

/** Which source samples make each target sample, and how much each counts. */
function windowsOf(source: number, target: number, { support, weigh }: Filter): Window[] {
  const scale = source / target;
  const spread = Math.max(scale, 1);
  const reach = support * spread;
  return Array.from({ length: target }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(source, Math.trunc(centre + reach + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_unused, tap) =>
      weigh((tap + first - centre + 0.5) / spread),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

/** ITU-R 601-2 luma with Pillow's fixed-point weights; grey is repeated for RGB. */
export function toMode(image: Pixels, mode: 'L' | 'RGB'): Pixels {
  const channels = mode === 'L' ? 1 : 3;
  if (image.channels === channels) return image;
  const pixels = image.width * image.height;
  const data = new Uint8Array(pixels * channels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    if (channels === 3) {
      data.fill(image.data[pixel]!, pixel * 3, pixel * 3 + 3);
    } else {
      const [red, green, blue] = [image.data[pixel * 3]!, image.data[pixel * 3 + 1]!, image.data[pixel * 3 + 2]!];
      data[pixel] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
    }
  }
  return { width: image.width, height: image.height, channels, data };
}

export function centreCrop(image: Pixels, width: number, height: number): Pixels {
  const left = Math.max(0, Math.round((image.width - width) / 2));
  const top = Math.max(0, Math.round((image.height - height) / 2));
  const { channels } = image;
  const data = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * channels;
    data.set(image.data.subarray(from, from + width * channels), y * width * channels);
  }
  return { width, height, channels, data };
}

// An image from a client becomes one row of the network's input.
import { makeData } from './datatypes.ts';
import { PredictionError } from './handler-api.ts';
import { decodeImage, type Pixels } from './image-decode.ts';
import { centreCrop, resize, toMode } from './image-resize.ts';
import type { Port } from './model-signature.ts';
import type { ImageSettings } from './onnx-config.ts';
import type { TensorValue } from './tensors.ts';

/** Throws a PredictionError (400) for bytes that are no image, or too large a one. */
export function imageToRow(bytes: Buffer, settings: ImageSettings, { type }: Port): TensorValue {
  const image = shape(toMode(decodeImage(bytes, settings.maxPixels), settings.mode), settings);
  const { width, height, channels, data } = image;
  const dims = settings.layout === 'NCHW' ? [1, channels, height, width] : [1, height, width, channels];
  const out = makeData(type, width * height * channels) as Float32Array;
  // A network that takes integers takes the bytes themselves.
  const isScaled = type.kind === 'float';
  const plane = width * height;
  for (let channel = 0; channel < channels; channel++) {
    const mean = settings.mean[channel] ?? settings.mean[0]!;
    const std = settings.std[channel] ?? settings.std[0]!;
    for (let pixel = 0; pixel < plane; pixel++) {
      const byte = data[pixel * channels + channel]!;
      const at = settings.layout === 'NCHW' ? channel * plane + pixel : pixel * channels + channel;
      out[at] = isScaled ? (byte * settings.scale - mean) / std : byte;
    }
  }
  return { type, dims, data: out };
}

function shape(image: Pixels, settings: ImageSettings): Pixels {
  const { width, height, shorterSide, resample } = settings;
  if (shorterSide === undefined) return resizeBounded(image, width, height, settings);
  const ratio = shorterSide / Math.min(image.width, image.height);
  const scaledWidth = Math.max(width, Math.trunc(image.width * ratio));
  const scaledHeight = Math.max(height, Math.trunc(image.height * ratio));
  return centreCrop(resizeBounded(image, scaledWidth, scaledHeight, settings), width, height);

  /** A long thin image is small itself, but not what it is enlarged to. */
  function resizeBounded(source: Pixels, toWidth: number, toHeight: number, { maxPixels }: ImageSettings): Pixels {
    if (toWidth * Math.max(source.height, toHeight) > maxPixels) {
      throw new PredictionError(`An image of ${source.width}x${source.height} pixels is too long for this model.`, 400);
    }
    return resize(source, toWidth, toHeight, resample);
  }
}

// The `onnx` section of model-config.yaml, and what follows from the model where it says nothing. Written by the model's author: untrusted.
import type { Resample } from './image-resize.ts';
import type { Signature } from './model-signature.ts';

export interface ImageSettings {
  readonly width: number;
  readonly height: number;
  readonly mode: 'L' | 'RGB';
  /** Resize until the shorter side has this many pixels, then crop the centre. Undefined: resize straight to the size. */
  readonly shorterSide: number | undefined;
  readonly resample: Resample;
  /** value = (byte * scale - mean) / std, for each channel. */
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly layout: 'NCHW' | 'NHWC';
  readonly maxPixels: number;
}

export interface OnnxSettings {
  /** Undefined: this model takes no images. */
  readonly image: ImageSettings | undefined;
  readonly softmax: boolean;
  /** Undefined: every class. */
  readonly topK: number | undefined;
}

/** A 4096x4096 photograph. Decoded as RGB it takes 48 MB. */
const DEFAULT_MAX_PIXELS = 4096 * 4096;
/** Where Pillow stops as well: twice its warning limit. Used when `limit_max_image_pixels` is off. */
const UNLIMITED_MAX_PIXELS = 178_956_970;
/** A larger network input is a mistake, and would be allocated for every request. */
const MAX_SIDE = 8192;

/** Throws an Error that names the key, which fails the load. */
export function readOnnxSettings(
  config: Readonly<Record<string, unknown>>,
  signature: Signature,
  limitMaxImagePixels: boolean,
): OnnxSettings {
  const section = asRecord(config['onnx'] ?? {}, 'onnx');
  const output = asRecord(section['output'] ?? {}, 'onnx.output');
  const ceiling = limitMaxImagePixels ? DEFAULT_MAX_PIXELS : UNLIMITED_MAX_PIXELS;
  const inferred = inferImage(signature, ceiling);
  return {
    image:
      section['image'] === undefined
        ? inferred
        : readImage(asRecord(section['image'], 'onnx.image'), inferred, ceiling),
    softmax: output['softmax'] === true,
    topK: output['topK'] === undefined ? undefined : integer(output['topK'], 'onnx.output.topK', 1, 100_000),
  };
}

/** One input of rank 4 with one or three channels is an image in bytes/255. */
function inferImage({ inputs }: Signature, maxPixels: number): ImageSettings | undefined {
  const shape = inputs.length === 1 ? inputs[0]!.shape : [];
  if (shape.length !== 4) return undefined;
  const [, second, third, fourth] = shape as [number, number, number, number];
  const layout = second === 1 || second === 3 ? 'NCHW' : fourth === 1 || fourth === 3 ? 'NHWC' : undefined;
  if (layout === undefined) return undefined;
  const [channels, height, width] = layout === 'NCHW' ? [second, third, fourth] : [fourth, second, third];
  if (height <= 0 || width <= 0) return undefined;
  return {
    width,
    height,
    mode: channels === 1 ? 'L' : 'RGB',
    shorterSide: undefined,
    resample: 'bilinear',
    scale: 1 / 255,
    mean: [0],
    std: [1],
    layout,
    maxPixels,
  };
}

function readImage(
  section: Record<string, unknown>,
  inferred: ImageSettings | undefined,
  ceiling: number,
): ImageSettings {
  const size = section['size'] === undefined ? undefined : numbers(section['size'], 'onnx.image.size');
  if (size === undefined && inferred === undefined)
    throw new Error('onnx.image.size is needed: the model leaves it open.');
  const [height, width] = size === undefined ? [inferred!.height, inferred!.width] : [size[0], size.at(-1)];
  const mode = oneOf(section['mode'] ?? inferred?.mode ?? 'RGB', ['L', 'RGB'], 'onnx.image.mode');
  const std = section['std'] === undefined ? [1] : numbers(section['std'], 'onnx.image.std');
  if (std.includes(0)) throw new Error('onnx.image.std must not be zero.');
  return {
    height: integer(height, 'onnx.image.size', 1, MAX_SIDE),
    width: integer(width, 'onnx.image.size', 1, MAX_SIDE),
    mode,
    shorterSide:
      section['shorterSide'] === undefined
        ? undefined
        : integer(section['shorterSide'], 'onnx.image.shorterSide', 1, MAX_SIDE),
    resample: oneOf(section['resample'] ?? 'bilinear', ['bilinear', 'box'], 'onnx.image.resample'),
    scale: number(section['scale'] ?? 1 / 255, 'onnx.image.scale'),
    mean: section['mean'] === undefined ? [0] : numbers(section['mean'], 'onnx.image.mean'),
    std,
    layout: oneOf(section['layout'] ?? inferred?.layout ?? 'NCHW', ['NCHW', 'NHWC'], 'onnx.image.layout'),
    maxPixels:
      section['maxPixels'] === undefined ? ceiling : integer(section['maxPixels'], 'onnx.image.maxPixels', 1, ceiling),
  };
}

function asRecord(value: unknown, key: string): Record<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${key} in model-config.yaml must be a map.`);
}

function number(value: unknown, key: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new Error(`${key} in model-config.yaml must be a number.`);
}

/** A single number stands for a list of one. */
function numbers(value: unknown, key: string): number[] {
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw new Error(`${key} in model-config.yaml must not be empty.`);
  return list.map((element) => number(element, key));
}

function integer(value: unknown, key: string, least: number, most: number): number {
  const given = number(value, key);
  if (Number.isInteger(given) && given >= least && given <= most) return given;
  throw new Error(`${key} in model-config.yaml must be a whole number from ${least} to ${most}.`);
}

function oneOf<const T extends string>(value: unknown, allowed: readonly T[], key: string): T {
  if (allowed.includes(value as T)) return value as T;
  throw new Error(`${key} in model-config.yaml must be one of ${allowed.join(', ')}.`);
}

// Which model format a file has, by its bytes first: what trust policies mean when they name formats.
import type { QuarantinedFile } from '../inspection.ts';
import type { RandomAccess } from '../random-access.ts';
import { readZipIndex } from '../zip-index.ts';
import { kindOfName } from './names.ts';
import { isNpz } from './npz.ts';
import { actsLikePickle } from './pickle/interpret.ts';
import { sniff } from './sniff.ts';
import { isTorchZip, TORCH_LIMITS } from './torch-zip.ts';

export type ModelFormat = 'safetensors' | 'onnx' | 'torch' | 'torchscript' | 'gguf' | 'npy' | 'npz' | 'other';

/** Formats of the files that are models, by name. Code, text, pictures and data of no known format are left out. */
export async function modelFormats(files: readonly QuarantinedFile[]): Promise<ReadonlyMap<string, ModelFormat>> {
  const formats = new Map<string, ModelFormat>();
  for (const file of files) {
    await using opened = await file.open();
    const format = await formatOf(opened, file.name);
    if (format !== null) formats.set(file.name, format);
  }
  return formats;
}

/** As much of a file as decides whether it is a pickle without a mark. */
const PROBE_BYTES = 1024 * 1024;

async function formatOf(file: RandomAccess, name: string): Promise<ModelFormat | null> {
  const kind = kindOfName(name);
  const { format } = await sniff(file);
  if (kind === 'onnx') return 'onnx';
  switch (format) {
    case 'safetensors':
    case 'gguf':
    case 'npy':
      return format;
    case 'pickle':
      return 'torch';
    case 'zip':
      return await formatOfZip(file);
    case 'tar':
    case 'compressed':
    case 'hdf5':
    case 'flatbuffer':
    case 'executable':
      return 'other';
    default:
  }
  if (kind === 'torch') return 'torch';
  if (kind === 'safetensors' || kind === 'gguf' || kind === 'npy' || kind === 'npz') return kind;
  if (kind === 'unsupported') return 'other';
  return actsLikePickle(await file.read(0, Math.min(file.size, PROBE_BYTES)), file.size) ? 'torch' : null;
}

async function formatOfZip(file: RandomAccess): Promise<ModelFormat> {
  try {
    const index = await readZipIndex(file, TORCH_LIMITS);
    if (isNpz(index)) return 'npz';
    if (!isTorchZip(index)) return 'other';
    return index.members.some(({ name }) => /^[^/]+\/(constants\.pkl|code\/)/.test(name)) ? 'torchscript' : 'torch';
  } catch {
    // Refused by the inspection, or accepted in spite of it; no format that a policy would name.
    return 'other';
  }
}

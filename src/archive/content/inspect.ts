// Looks at every file of a model: what it is, whether its name agrees, and whether its content is only data.
import { Fault, makeFinding, type Finding } from '../../kernel/index.ts';
import type { QuarantinedFile } from '../inspection.ts';
import type { RandomAccess } from '../random-access.ts';
import { readZipIndex } from '../zip-index.ts';
import { inspectGguf } from './gguf.ts';
import { kindOfName, type NameKind } from './names.ts';
import { inspectNpy } from './npy.ts';
import { inspectNpz, isNpz } from './npz.ts';
import { inspectOnnx, type Siblings } from './onnx.ts';
import { actsLikePickle } from './pickle/interpret.ts';
import { summarizePython, summarizeRequirements } from './python-source.ts';
import { inspectPickleFile } from './raw-pickle.ts';
import { Refusal } from './refusal.ts';
import { Report } from './report.ts';
import { hidesPickle, isZlib } from './zlib-pickle.ts';
import { inspectSafetensors } from './safetensors.ts';
import { sniff, type Sniffed } from './sniff.ts';
import { inspectText } from './text-checks.ts';
import { inspectTorchZip, isExportedProgram, isTorchZip, TORCH_LIMITS } from './torch-zip.ts';

/**
 * Findings of all files, in their order. Each file contributes at least the first reason to refuse it.
 * Throws only when reading fails or `signal` aborts; the caller refuses the model then.
 */
export async function inspectContent(files: readonly QuarantinedFile[], signal: AbortSignal): Promise<Finding[]> {
  const siblings: Siblings = new Map(files.map(({ name, size }) => [name, size]));
  const findings: Finding[] = [];
  for (const file of files) findings.push(...(await inspectFile(file, siblings, signal)));
  return findings;
}

/** Findings of one file. `siblings` are all files beside it (itself included), which it may refer to. */
export async function inspectFile(
  file: QuarantinedFile,
  siblings: Siblings,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted();
  const report = new Report(file.name);
  await using opened = await file.open();
  const bytes = abortable(opened, signal);
  try {
    await inspectBytes(bytes, file.name, siblings, report);
  } catch (thrown) {
    if (thrown instanceof Refusal)
      return [...report.findings, makeFinding(thrown.code, thrown.message, file.name, thrown.offset)];
    if (!(thrown instanceof Fault) || thrown.code !== 'archive_refused') throw thrown;
    return [...report.findings, makeFinding('container_malformed', thrown.message, file.name)];
  }
  return report.findings;
}

/** Analyzers read often, so that every read is a good place to stop. */
function abortable(file: RandomAccess, signal: AbortSignal): RandomAccess {
  return {
    size: file.size,
    read(offset, length) {
      signal.throwIfAborted();
      return file.read(offset, length);
    },
  };
}

const MODEL_KINDS: ReadonlySet<NameKind> = new Set([
  'torch',
  'safetensors',
  'onnx',
  'gguf',
  'npy',
  'npz',
  'unsupported',
]);
/** What a clone without the LFS extension has instead of large files. */
const LFS_POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\//;

async function inspectBytes(file: RandomAccess, name: string, siblings: Siblings, report: Report): Promise<void> {
  const kind = kindOfName(name);
  const sniffed = await sniff(file);
  if (kind === 'startup') throw new Refusal('python_startup_hook', 'Python would run this file by itself.');
  if (kind === 'native' || sniffed.format === 'executable') {
    throw new Refusal('executable_content', 'The file is a native program, a library or bytecode.');
  }
  if (sniffed.hasZipTail)
    throw new Refusal('polyglot', 'A zip archive ends in this file, which does not start as one.');
  if (file.size === 0) return;
  if (MODEL_KINDS.has(kind) && LFS_POINTER.test(sniffed.head.toString('latin1', 0, 64)))
    throw new Refusal(
      'content_mismatch',
      'The file is a pointer of Git LFS; the model is not here yet (git lfs pull).',
    );
  switch (sniffed.format) {
    case 'zip':
      return inspectZip(file, kind, report);
    case 'tar':
      throw kind === 'archive' ? nested() : new Refusal('torch_tar', 'The file is a tar archive.');
    case 'compressed':
      throw kind === 'archive' || kind === 'other'
        ? nested()
        : new Refusal('compressed_content', 'The file is compressed.');
    case 'hdf5':
    case 'flatbuffer':
      throw unsupported();
    case 'npy':
      requireKind(kind, ['npy', 'other'], 'a NumPy array');
      return inspectNpy(file);
    case 'gguf':
      requireKind(kind, ['gguf', 'other'], 'a GGUF model');
      return inspectGguf(file, report);
    case 'safetensors':
      if (kind === 'onnx') break;
      requireKind(kind, ['safetensors', 'other'], 'a safetensors file');
      return inspectSafetensors(file);
    case 'pickle':
      if (kind === 'onnx') break;
      requireKind(kind, ['torch', 'other'], 'a pickle');
      await inspectPickleFile(file, report);
      return;
    default:
  }
  return inspectByName(file, name, kind, sniffed, siblings, report);
}

/** No magic number: the name says what to expect, and the bytes must keep the promise. */
async function inspectByName(
  file: RandomAccess,
  name: string,
  kind: NameKind,
  sniffed: Sniffed,
  siblings: Siblings,
  report: Report,
): Promise<void> {
  switch (kind) {
    case 'onnx':
      return inspectOnnx(file, name, siblings, report);
    case 'safetensors':
      return inspectSafetensors(file);
    case 'unsupported':
      throw unsupported();
    case 'gguf':
    case 'npy':
    case 'npz':
    case 'archive':
      throw new Refusal('content_mismatch', 'The content is not what the name says.');
    case 'torch':
      return inspectUnmarkedPickle(file, name, sniffed, report);
    default:
  }
  if (hidesPickle(sniffed.head)) throw new Refusal('compressed_content', 'The file is a compressed pickle.');
  if (actsLikePickle(await file.read(0, Math.min(file.size, PROBE_BYTES)), file.size)) {
    await inspectPickleFile(file, report);
    if (kind !== 'other') throw new Refusal('content_mismatch', 'The file is a pickle under another name.');
  }
  if (kind === 'python') return summarizePython(file, report);
  if (kind === 'requirements') return summarizeRequirements(file, report);
  if (kind === 'text') return inspectText(name, file, report);
}

/** Other files fail as pickles within a few bytes; what lasts this long is one. */
const PROBE_BYTES = 1024 * 1024;

/** Protocols 0 and 1 have no magic number: either the bytes are such a pickle, or nothing we know. */
async function inspectUnmarkedPickle(
  file: RandomAccess,
  name: string,
  sniffed: Sniffed,
  report: Report,
): Promise<void> {
  if (/\.pth$/i.test(name) && /^\s*import\s/m.test(sniffed.head.toString('latin1'))) {
    throw new Refusal('python_startup_hook', 'Python runs the import lines of .pth files at start.');
  }
  if (isZlib(sniffed.head) || hidesPickle(sniffed.head))
    throw new Refusal('compressed_content', 'The file is compressed.');
  try {
    await inspectPickleFile(file, report);
  } catch (thrown) {
    const isForeign =
      thrown instanceof Refusal && thrown.code === 'pickle_malformed' && !actsLikePickle(sniffed.head, file.size);
    if (isForeign) throw new Refusal('unrecognised_content', 'The content is no model format that can be vetted.');
    throw thrown;
  }
}

async function inspectZip(file: RandomAccess, kind: NameKind, report: Report): Promise<void> {
  const index = await readZipIndex(file, TORCH_LIMITS);
  if (isExportedProgram(index)) throw new Refusal('torch_exported_program', 'The file is a torch.export package.');
  if (isTorchZip(index)) {
    requireKind(kind, ['torch', 'other', 'archive'], 'a torch checkpoint');
    await inspectTorchZip(file, index, report);
    return;
  }
  if (isNpz(index)) {
    requireKind(kind, ['npz', 'other'], 'a NumPy archive');
    return inspectNpz(file, index);
  }
  if (kind === 'unsupported') throw unsupported();
  if (kind === 'archive' || kind === 'other') throw nested();
  throw new Refusal('content_mismatch', 'The file is a zip archive, but no torch checkpoint.');
}

function requireKind(kind: NameKind, allowed: readonly NameKind[], what: string): void {
  if (!allowed.includes(kind))
    throw new Refusal('content_mismatch', `The content is ${what}, which the name does not say.`);
}

function nested(): Refusal {
  return new Refusal('nested_archive', 'The file is an archive or compressed.');
}

function unsupported(): Refusal {
  return new Refusal('unsupported_model_format', 'The format can carry code and is not vetted.');
}

// Which code a model may name as its entry point: a file of its own archive or one of the handlers that come with the server.
//
// TorchServe imported whatever the text resolved to, anywhere on disk or in the standard library (`os:system`).
import { invalidModel, quote } from './refusal.ts';

export type HandlerRuntime = 'python' | 'onnx' | 'node';

/** Handlers that come with the server and are not copied into archives (surface spec 8.7). */
export const BUILT_IN_HANDLERS: readonly string[] = [
  'base_handler',
  'text_classifier',
  'image_classifier',
  'object_detector',
  'image_segmenter',
  'dali_image_classifier',
  'vllm_handler',
  'trt_llm_handler',
];

/** Handlers that TorchServe resolves by name too, though its archiver does copy files of that name. */
const IMPORTABLE_HANDLERS = new Set([...BUILT_IN_HANDLERS, 'densenet_handler', 'vision_handler', 'text_handler']);

/** The ONNX runtime runs the model itself; the name only chooses how inputs are read. */
const ONNX_HANDLERS = new Set(['base_handler', 'image_classifier', 'onnx', 'onnx_handler', 'default']);

/** ASCII on purpose: a look-alike letter would name another file than the reviewer saw. */
const HANDLER = /^(?<path>[A-Za-z0-9_][A-Za-z0-9_./-]*)(?::(?<fn>[A-Za-z_$][A-Za-z0-9_$]*))?$/;
const MAX_HANDLER_CHARS = 512;

/**
 * Checks a handler named by a manifest, by a register call or by configuration against the archive's files.
 * Throws `invalid_model`. Forms as in surface spec 9.1: `name`, `name.py`, `dir/name.py`, each with `:function`.
 */
export function checkHandler(handler: string, files: readonly string[], runtime: HandlerRuntime): void {
  const { path } = parseHandler(handler);
  if (runtime === 'python' && IMPORTABLE_HANDLERS.has(path)) return;
  if (runtime === 'onnx' && ONNX_HANDLERS.has(path)) return;
  const present = new Set(files);
  if (candidates(path, runtime).some((file) => present.has(file))) return;
  throw invalidModel(
    `Handler ${quote(handler)} is neither a file of the archive nor a built-in handler; put the file into the archive.`,
  );
}

/** Splits and checks the syntax alone. Throws `invalid_model`. */
export function parseHandler(handler: string): { readonly path: string; readonly fn: string | undefined } {
  const groups = handler.length > MAX_HANDLER_CHARS ? undefined : HANDLER.exec(handler)?.groups;
  const path = groups?.['path'];
  const isPlain = path?.split('/').every((segment) => segment !== '' && !segment.startsWith('.')) ?? false;
  if (path === undefined || !isPlain || path.includes('..')) {
    throw invalidModel(`Invalid handler ${quote(handler)}: write a relative file of the archive, such as handler.py.`);
  }
  return { path, fn: groups?.['fn'] };
}

/** Files that would satisfy the name. Archives are flat, so a directory part may be missing there (surface spec 8.7). */
function candidates(path: string, runtime: HandlerRuntime): readonly string[] {
  const base = path.slice(path.lastIndexOf('/') + 1);
  if (runtime === 'node') return /\.(js|mjs|cjs|ts|mts|cts)$/.test(base) ? [path, base] : [];
  const module = base.replace(/\.py$/, '');
  const dir = path.slice(0, path.length - base.length);
  // `package.module` is imported from the package's folder.
  const dotted = module.replaceAll('.', '/');
  return [`${dir}${module}.py`, `${module}.py`, `${module}/__init__.py`, `${dotted}.py`];
}

// What goes into an archive and under which name, decided before a byte is written (surface spec 8.7).
import { BUILT_IN_HANDLERS, checkHandler, parseHandler, type HandlerRuntime } from './handler.ts';
import type { ContainerLimits } from './limits.ts';
import { parseRuntime } from './manifest.ts';
import { checkMemberName, NameLedger } from './member-name.ts';
import { invalidModel, quote } from './refusal.ts';

/** What the archiver was asked for; names are base names in the archive. */
export interface ArchiveRequest {
  readonly modelName: string;
  readonly version: string;
  readonly runtime: string;
  /** As in the manifest: base name, with `:function` where one was given. */
  readonly handler: string;
  readonly serializedFile?: string | undefined;
  readonly modelFile?: string | undefined;
  readonly requirementsFile?: string | undefined;
  readonly configFile?: string | undefined;
}

/** One file on its way into the archive. */
export interface PlannedFile {
  readonly name: string;
  /** Where it is read from; opaque here. */
  readonly source: string;
}

const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9_\-.]*$/;
/** The version of the archive format that TorchServe's own archiver writes; readers only look whether it is there. */
const ARCHIVER_VERSION = '0.12.0';

export function checkArchiveName(modelName: string): void {
  if (MODEL_NAME.test(modelName)) return;
  throw invalidModel(
    `model-name contains special characters. The allowed regular expression filter for model name is: ${MODEL_NAME.source}`,
  );
}

/** The handler's file to copy and its word in the manifest; a built-in handler has no file. */
export function planHandler(
  handler: string,
  runtime: HandlerRuntime,
): { readonly path: string | null; readonly word: string } {
  const base = handler.slice(handler.lastIndexOf('/') + 1);
  const { path: file } = parseHandler(base);
  if (BUILT_IN_HANDLERS.includes(handler) || runtime === 'onnx') return { path: null, word: handler };
  const path = handler.replace(/:[^:/]*$/, '');
  if (runtime === 'node' || path.endsWith('.py')) return { path, word: base };
  return { path: `${path}.py`, word: file === base ? `${base}.py` : base };
}

/** Sorted by name, each name once and fit for every reader; two sources for one name are refused, not overwritten. */
export function planFiles(files: readonly PlannedFile[], limits: ContainerLimits): readonly PlannedFile[] {
  const byName = new Map<string, PlannedFile>();
  const names = new NameLedger();
  for (const file of files) {
    const known = byName.get(file.name);
    if (known?.source === file.source) continue;
    if (file.name.split('/')[0]!.toUpperCase() === 'MAR-INF') {
      throw invalidModel(`${quote(file.source)}: MAR-INF is reserved for the manifest.`);
    }
    checkMemberName(file.name, limits);
    names.addFile(file.name);
    byName.set(file.name, file);
  }
  return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Folders that editors and unpackers leave behind (surface spec 8.7). */
export const isLitter = (directory: string): boolean =>
  directory === '__MACOSX' || directory === '__pycache__' || directory.startsWith('.');

/** The text of MAR-INF/MANIFEST.json; `createdMs` is a Unix time, written in UTC. */
export function renderManifest(request: ArchiveRequest, createdMs: number, files: readonly PlannedFile[]): string {
  const { runtime } = parseRuntime(request.runtime);
  checkHandler(
    request.handler,
    files.map((file) => file.name),
    runtime,
  );
  const {
    modelName,
    version: modelVersion,
    handler,
    serializedFile,
    modelFile,
    requirementsFile,
    configFile,
  } = request;
  const model = { modelName, serializedFile, handler, modelFile, modelVersion, requirementsFile, configFile };
  const manifest = {
    createdOn: formatTime(createdMs),
    runtime: request.runtime,
    model,
    archiverVersion: ARCHIVER_VERSION,
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** `dd/MM/yyyy HH:mm:ss` */
function formatTime(milliseconds: number): string {
  const [date, time] = new Date(milliseconds).toISOString().split('T');
  return `${date!.split('-').toReversed().join('/')} ${time!.slice(0, 8)}`;
}

// Reads one model of a model store for judging: unpacked by the strict readers into a private place, run by nobody.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DEFAULT_CONTAINER_LIMITS,
  describeArchive,
  inspectContent,
  type ArchiveDescription,
  type QuarantinedFile,
} from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { fileForInspection, unpackForInspection } from '../../store/index.ts';
import type { ModelView } from './judge-model.ts';

/** Longer sources are judged by their beginning. */
const MAX_SOURCE_BYTES = 1024 * 1024;

/** `name` is an archive or a directory in `store`. What Davy would refuse is a failure in the view, not an error. */
export async function readModel(store: string, name: string, signal: AbortSignal): Promise<ModelView> {
  const path = join(store, name);
  try {
    if ((await lstat(path)).isDirectory()) return await view(name, await filesOf(path), signal);
    await using archive = await unpackForInspection(path, DEFAULT_CONTAINER_LIMITS, signal);
    return await view(name, archive.files, signal);
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    return { name, description: null, failure: thrown.message, findings: [], sources: new Map() };
  }
}

async function view(name: string, files: readonly QuarantinedFile[], signal: AbortSignal): Promise<ModelView> {
  const sources = new Map<string, string>();
  for (const file of files) {
    if (file.name.endsWith('.py')) sources.set(file.name, Buffer.from(await head(file, MAX_SOURCE_BYTES)).toString());
  }
  const findings = await inspectContent(files, signal);
  return { name, findings, sources, ...(await description(files)) };
}

async function description(
  files: readonly QuarantinedFile[],
): Promise<{ readonly description: ArchiveDescription | null; readonly failure: string | undefined }> {
  const byName = new Map(files.map((file) => [file.name, file]));
  try {
    const found = await describeArchive([...byName.keys()], async (name, maxBytes) => {
      const file = byName.get(name);
      if (file === undefined || file.size > maxBytes) throw new Fault('invalid_model', `${name} is too large.`);
      return head(file, maxBytes);
    });
    return { description: found, failure: undefined };
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    return { description: null, failure: thrown.message };
  }
}

async function head(file: QuarantinedFile, maxBytes: number): Promise<Uint8Array> {
  await using opened = await file.open();
  return opened.read(0, Math.min(file.size, maxBytes));
}

/** Regular files below `root`; one directory that holds a single other one stands for that one (surface spec 8.1). */
async function filesOf(root: string): Promise<readonly QuarantinedFile[]> {
  const entries = await readdir(root, { withFileTypes: true });
  const [only] = entries;
  if (entries.length === 1 && only?.isDirectory()) return filesOf(join(root, only.name));
  const files: QuarantinedFile[] = [];
  for (const entry of await readdir(root, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) {
      throw new Fault('archive_refused', `${entry.name} is a link; a model directory must hold plain files.`);
    }
    if (entry.isFile()) files.push(await fileForInspection(path, path.slice(root.length + 1)));
  }
  return files;
}

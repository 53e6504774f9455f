// Scans files, directories and archives wherever they lie: what `davy scan` does, without a terminal.
import { lstat, readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DEFAULT_CONTAINER_LIMITS, describeArchive, inspectContent, inspectFile } from '../../archive/index.ts';
import type { QuarantinedFile } from '../../archive/index.ts';
import { Fault, makeFinding, type Finding } from '../../kernel/index.ts';
import { admissionVerdict, type AdmissionVerdict } from '../../policy/index.ts';
import { fileForInspection, unpackForInspection } from '../../store/index.ts';

export interface ScannedFile {
  /** The path as it was given, with the rest of the way for files in directories. */
  readonly file: string;
  readonly verdict: AdmissionVerdict;
  readonly findings: readonly Finding[];
}

export interface ScanTarget {
  readonly path: string;
  /** Name relative to `siblings`. */
  readonly name: string;
  /** Sizes of the files that this one may refer to, by name. */
  readonly siblings: ReadonlyMap<string, number>;
}

/** Every regular file under `path`; links inside directories are not followed. Throws what the file system throws. */
export async function listTargets(path: string): Promise<readonly ScanTarget[]> {
  const real = await realpath(path);
  const found = await lstat(real);
  if (found.isDirectory()) {
    const sizes = await walk(real, true);
    return [...sizes.keys()].map((name) => ({ path: join(path, name), name, siblings: sizes }));
  }
  if (!found.isFile()) throw new Fault('usage', `${path} is neither a file nor a directory.`);
  return [{ path, name: basename(real), siblings: await walk(dirname(real), false) }];
}

const MODEL_ARCHIVE = /\.(mar|tgz|tar\.gz)$/i;

/** Findings and verdict of one file. Failures of the inspection are findings too: fail closed. */
export async function scanFile(target: ScanTarget, signal: AbortSignal): Promise<ScannedFile> {
  const findings = await findingsOf(target, signal).catch((thrown: unknown) => {
    if (signal.aborted) throw thrown;
    return [failure(thrown)];
  });
  return { file: target.path, verdict: admissionVerdict(findings), findings };
}

async function findingsOf({ path, name, siblings }: ScanTarget, signal: AbortSignal): Promise<readonly Finding[]> {
  const real = await realpath(path);
  if (MODEL_ARCHIVE.test(name)) return scanArchive(real, signal);
  const file = await fileForInspection(real, name);
  const findings = await inspectFile(file, siblings, signal);
  // Some checkpoints are called .zip; every other zip is a container.
  if (/\.(zip|war)$/i.test(name) && findings.some(({ code }) => code === 'nested_archive'))
    return scanArchive(real, signal);
  return findings.map((finding) => ({ ...finding, member: '' }));
}

async function scanArchive(path: string, signal: AbortSignal): Promise<readonly Finding[]> {
  await using archive = await unpackForInspection(path, DEFAULT_CONTAINER_LIMITS, signal);
  const findings = await inspectContent(archive.files, signal);
  if (MODEL_ARCHIVE.test(path)) await describe(archive.files);
  return findings;
}

async function describe(files: readonly QuarantinedFile[]): Promise<void> {
  const byName = new Map(files.map((file) => [file.name, file]));
  await describeArchive([...byName.keys()], async (name, maxBytes) => {
    const file = byName.get(name);
    if (file === undefined || file.size > maxBytes) throw new Fault('invalid_model', `${name} is too large.`);
    await using opened = await file.open();
    return opened.read(0, file.size);
  });
}

function failure(thrown: unknown): Finding {
  const code = thrown instanceof Fault ? thrown.code : undefined;
  if (code === 'archive_refused') return makeFinding('container_malformed', (thrown as Fault).message);
  if (code === 'invalid_model') return makeFinding('manifest_invalid', (thrown as Fault).message);
  return makeFinding('inspection_failed', thrown instanceof Error ? thrown.message : String(thrown));
}

/** Sizes of the regular files under `root` by relative name, in order. */
async function walk(root: string, isDeep: boolean): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const pending = [''];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const entries = await readdir(join(root, directory), { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory() && isDeep) pending.push(name);
      else if (entry.isFile()) sizes.set(name, (await lstat(join(root, name))).size);
    }
  }
  return sizes;
}

// Scans files, directories and archives wherever they lie: what `davy scan` does, without a terminal.
import { realpath } from 'node:fs/promises';
import { DEFAULT_CONTAINER_LIMITS, describeArchive, inspectContent, inspectFile } from '../../archive/index.ts';
import type { QuarantinedFile } from '../../archive/index.ts';
import { Fault, makeFinding, type Finding } from '../../kernel/index.ts';
import { admissionVerdict, type AdmissionVerdict } from '../../policy/index.ts';
import { fileForInspection, unpackForInspection } from '../../store/index.ts';
import type { ScanTarget } from './list-targets.ts';

export interface ScannedFile {
  /** The path as it was given, with the rest of the way for files in directories. */
  readonly file: string;
  readonly verdict: AdmissionVerdict;
  readonly findings: readonly Finding[];
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

async function findingsOf(
  { path, real: place, name, siblings, obstacle }: ScanTarget,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  if (obstacle !== undefined) return [obstacle];
  const real = place ?? (await realpath(path));
  if (MODEL_ARCHIVE.test(name)) return scanArchive(real, name, signal);
  const file = await fileForInspection(real, name);
  const findings = await inspectFile(file, siblings, signal);
  // Some checkpoints are called .zip; every other zip is a container.
  if (/\.(zip|war)$/i.test(name) && findings.some(({ code }) => code === 'nested_archive'))
    return scanArchive(real, name, signal);
  return findings.map((finding) => ({ ...finding, member: '' }));
}

async function scanArchive(path: string, name: string, signal: AbortSignal): Promise<readonly Finding[]> {
  await using archive = await unpackForInspection(path, DEFAULT_CONTAINER_LIMITS, signal, name);
  const findings = await inspectContent(archive.files, signal);
  if (MODEL_ARCHIVE.test(name)) await describe(archive.files);
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

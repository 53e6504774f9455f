// `davy archive` and `torch-model-archiver`: collects the files of a model and writes them as an archive (surface spec 8.7).
//
// Reproducible: entries sorted, times and modes fixed, so that the same inputs give the same bytes (and the same digest).
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkArchiveName, parseRuntime, planFiles, planHandler, renderManifest } from '../../archive/index.ts';
import { DEFAULT_CONTAINER_LIMITS, MANIFEST_NAME } from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { collectExtraFiles, requiredFile, type InputFile } from './input-files.ts';
import { writeDirectory, writeTarGz, writeZip } from './write-container.ts';

export type ArchiveFormat = 'default' | 'zip-store' | 'tgz' | 'no-archive';

/** The flags of `torch-model-archiver`, in their camel-case spelling. */
export interface ArchiveOptions {
  readonly modelName: string;
  readonly version: string;
  /** Built-in name, `x.py`, `x.py:function`, `path/x`. */
  readonly handler: string;
  readonly serializedFile?: string | undefined;
  readonly modelFile?: string | undefined;
  /** Comma list; wildcards; a directory stands for its content. */
  readonly extraFiles?: string | undefined;
  readonly runtime?: string | undefined;
  /** Default: the working directory. Made if it is missing. */
  readonly exportPath?: string | undefined;
  readonly archiveFormat?: ArchiveFormat | undefined;
  readonly force?: boolean | undefined;
  readonly requirementsFile?: string | undefined;
  readonly configFile?: string | undefined;
  /** Seconds since 1970 for `createdOn`; default: the environment's SOURCE_DATE_EPOCH, else the newest input's time. */
  readonly sourceDateEpoch?: number | undefined;
}

const SUFFIX: Readonly<Record<ArchiveFormat, string>> = {
  default: '.mar',
  'zip-store': '.mar',
  tgz: '.tar.gz',
  'no-archive': '',
};

/** Gives back the absolute path of what was written. Throws `invalid_model`, `usage` or `file_exists`; leaves nothing then. */
export async function writeArchive(options: ArchiveOptions): Promise<string> {
  const format = options.archiveFormat ?? 'default';
  checkArchiveName(options.modelName);
  const folder = resolve(options.exportPath ?? '.');
  const target = join(folder, `${options.modelName}${SUFFIX[format]}`);
  if (options.force !== true && (await lstat(target).catch(() => null)) !== null) {
    throw new Fault(
      'usage',
      `${target} already exists.\nPlease specify --force/-f option to overwrite the model archive output file.\nSee -h/--help for more details.`,
    );
  }
  const { files, manifest } = await prepare(options);
  await mkdir(folder, { recursive: true });
  const partial = join(folder, `.${options.modelName}.${randomBytes(8).toString('hex')}.part`);
  try {
    if (format === 'tgz') await writeTarGz(partial, options.modelName, files, manifest);
    else if (format === 'no-archive') await writeDirectory(partial, files, manifest);
    else await writeZip(partial, files, manifest, format === 'default');
    if (format === 'no-archive') await rm(target, { recursive: true, force: true });
    await rename(partial, target);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return target;
}

async function prepare(
  options: ArchiveOptions,
): Promise<{ readonly files: readonly InputFile[]; readonly manifest: InputFile }> {
  const { label, runtime } = parseRuntime(options.runtime ?? 'python');
  const handler = planHandler(options.handler, runtime);
  const inputs: InputFile[] = [];
  const single = async (path: string | null | undefined, what: string): Promise<string | undefined> => {
    if (path === undefined || path === null || path === '') return undefined;
    const file = await requiredFile(path, what);
    inputs.push(file);
    return file.name;
  };
  await single(handler.path, 'handler');
  const request = {
    modelName: options.modelName,
    version: options.version,
    runtime: label,
    handler: handler.word,
    serializedFile: await single(options.serializedFile, 'serialized-file'),
    modelFile: await single(options.modelFile, 'model-file'),
    requirementsFile: await single(options.requirementsFile, 'requirements-file'),
    configFile: await single(options.configFile, 'config-file'),
  };
  inputs.push(...(await collectExtraFiles(options.extraFiles ?? '')));
  const planned = planFiles(inputs, DEFAULT_CONTAINER_LIMITS);
  const bySource = new Map(inputs.map((input) => [input.source, input]));
  const files = planned.map((file) => ({ ...bySource.get(file.source)!, name: file.name }));
  const content = Buffer.from(renderManifest(request, createdMs(options, files), files));
  const manifest = { name: MANIFEST_NAME, source: '', content, size: content.length, modifiedMs: 0 };
  return { files, manifest };
}

function createdMs(options: ArchiveOptions, files: readonly InputFile[]): number {
  const epoch = options.sourceDateEpoch ?? process.env['SOURCE_DATE_EPOCH'];
  if (epoch === undefined || epoch === '') return Math.max(0, ...files.map((file) => file.modifiedMs));
  const seconds = Number(epoch);
  // 9999-12-31: later times have no four-digit year.
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= 253_402_300_799) return seconds * 1000;
  throw new Fault('usage', 'SOURCE_DATE_EPOCH must be a whole number of seconds since 1970.');
}

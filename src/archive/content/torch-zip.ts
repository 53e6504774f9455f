// Torch's checkpoint format since 1.6, and its neighbours in the same container: TorchScript and exported programs.
import { DEFAULT_CONTAINER_LIMITS } from '../limits.ts';
import { readWhole, type ContainerIndex } from '../container.ts';
import type { RandomAccess } from '../random-access.ts';
import type { Checkpoint } from './checkpoint.ts';
import { noteProtocol } from './pickle-file.ts';
import { Refusal } from './refusal.ts';
import type { Report } from './report.ts';
import { checkSparse } from './sparse.ts';
import {
  inspectRecordPickle,
  matchStorages,
  stripRoot,
  storagesOf,
  verifyChecksums,
  type Records,
} from './torch-records.ts';
import { inspectTorchScript, isTorchScript } from './torchscript.ts';

/** Large language models store one record for each of some ten thousand tensors. */
export const TORCH_LIMITS = { ...DEFAULT_CONTAINER_LIMITS, maxEntries: 200_000 };

const CHECKPOINT_RECORD =
  /^(data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data\/serialization_id|data\/\d{1,20})$/;
const EXPORTED_RECORD =
  /^(archive_format|archive_version|models\/.*|data\/(aotinductor|sample_inputs|weights|constants)\/.*)$/;

/** The single-line records and what they may say. */
const SMALL_RECORDS: readonly (readonly [string, RegExp])[] = [
  ['version', /^\d{1,3}\n?$/],
  ['byteorder', /^(little|big)$/],
  ['.format_version', /^\d{1,3}$/],
  ['.storage_alignment', /^\d{1,8}$/],
  ['.data/serialization_id', /^\d{1,64}$/],
];
const SMALL_RECORD_BYTES = 64;

/** Inspects a zip that torch would open; null for a program. `index` has already passed the strict reader. */
export async function inspectTorchZip(
  file: RandomAccess,
  index: ContainerIndex,
  report: Report,
): Promise<Checkpoint | null> {
  const records = stripRoot(index);
  if ([...records.keys()].some((name) => EXPORTED_RECORD.test(name))) {
    throw new Refusal('torch_exported_program', 'The file is a torch.export package.');
  }
  await checkSmallRecords(file, records);
  if (isTorchScript(records)) {
    await inspectTorchScript(file, records, report);
    return null;
  }
  for (const name of records.keys()) {
    if (!CHECKPOINT_RECORD.test(name))
      throw new Refusal('torch_layout', `The record ${name} is not one of torch.save’s.`);
  }
  const { summary, storages: declared } = await inspectRecordPickle(file, records, 'data.pkl', {
    reader: 'python',
    storages: 'zip',
  });
  noteProtocol(summary, report);
  matchStorages(records, 'data/', declared);
  await verifyChecksums(file, records, 'data/');
  const storages = await storagesOf(file, records, 'data/');
  await checkSparse(summary.sparse, storages);
  return { value: summary.value, storages };
}

export function isTorchZip(index: ContainerIndex): boolean {
  return index.members.some(({ name }) => /^[^/]+\/(data|constants)\.pkl$/i.test(name));
}

/** torch.export and AOTInductor: with a root folder since torch 2.8, without one before. */
export function isExportedProgram(index: ContainerIndex): boolean {
  return index.members.some(({ name }) => /^([^/]+\/)?(archive_format|serialized_exported_program\.json)$/.test(name));
}

async function checkSmallRecords(file: RandomAccess, records: Records): Promise<void> {
  for (const [name, pattern] of SMALL_RECORDS) {
    const member = records.get(name);
    if (member === undefined) continue;
    const text = member.size <= SMALL_RECORD_BYTES ? await readWhole(file, member, SMALL_RECORD_BYTES) : '';
    if (!pattern.test(text.toString())) throw new Refusal('torch_layout', `The record ${name} has an unusual content.`);
  }
}

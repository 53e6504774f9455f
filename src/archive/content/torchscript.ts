// TorchScript archives: programs for torch's own interpreter. They are reported as code and searched for operators that leave it.
import { readMember, readWhole, type Member } from '../container.ts';
import { MAX_PICKLE_BYTES } from './pickle-file.ts';
import type { RandomAccess } from '../random-access.ts';
import { Refusal } from './refusal.ts';
import type { Report } from './report.ts';
import { checkSparse } from './sparse.ts';
import { checkBytecode, checkClassNames, checkSource } from './torchscript-source.ts';
import { inspectRecordPickle, matchStorages, storagesOf, verifyChecksums, type Records } from './torch-records.ts';

const RECORD =
  /^((data|constants|traced_inputs|bytecode|mobile_debug_handles)\.pkl|version|byteorder|\.data\/serialization_id|\.format_version|\.storage_alignment|(data|constants|traced_inputs|bytecode)\/\d{1,20}|code\/[\w./<>-]+\.(py|py\.debug_pkl)|extra\/[\w./-]+)$/;

/** Pickled parts; each keeps its tensors in a folder of its own name. The optional ones come from tracing and mobile builds. */
const PICKLED = ['data', 'constants', 'traced_inputs', 'bytecode', 'mobile_debug_handles'] as const;
const OPTIONAL: ReadonlySet<string> = new Set(PICKLED.slice(2));

/** Source of one module; generated code of the largest models has a few megabytes. */
const MAX_SOURCE_BYTES = 32 * 1024 * 1024;

export function isTorchScript(records: Records): boolean {
  return records.has('constants.pkl') || [...records.keys()].some((name) => name.startsWith('code/'));
}

export async function inspectTorchScript(file: RandomAccess, records: Records, report: Report): Promise<void> {
  report.add('torchscript_code', 'The file is a TorchScript program.');
  for (const name of records.keys()) {
    if (!RECORD.test(name)) throw new Refusal('torch_layout', `The record ${name} is not one of TorchScript’s.`);
  }
  for (const archive of PICKLED) {
    const [name, prefix] = [`${archive}.pkl`, `${archive}/`];
    if (!records.has(name) && OPTIONAL.has(archive)) continue;
    const profile = { reader: 'torchscript', storages: 'zip' } as const;
    const { summary, storages } = await inspectRecordPickle(file, records, name, profile);
    for (const global of summary.globals) checkClassNames(global, name);
    if (archive === 'bytecode')
      checkBytecode(await readWhole(file, records.get(name) as Member, MAX_PICKLE_BYTES), name);
    await verifyChecksums(file, records, prefix);
    // Torch writes the storages of example inputs empty, and reads them only when asked to.
    if (archive === 'traced_inputs') continue;
    matchStorages(records, prefix, storages);
    await checkSparse(summary.sparse, await storagesOf(file, records, prefix));
  }
  for (const [name, member] of records) {
    if (name.endsWith('.debug_pkl')) {
      await inspectRecordPickle(file, records, name, { reader: 'torchscript', storages: 'none' });
    } else if (name.startsWith('code/')) {
      checkSource((await readWhole(file, member, MAX_SOURCE_BYTES)).toString('utf8'), name);
    } else if (name.startsWith('extra/')) {
      for await (const piece of readMember(file, member)) void piece;
    }
  }
}

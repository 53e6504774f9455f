// The records of a torch zip: one root, pickles that end where they must, storages that are all there.
import { readMember, readWhole, type ContainerIndex, type Member } from '../container.ts';
import { memoryAccess, sliceAccess, type RandomAccess } from '../random-access.ts';
import type { Storages } from './checkpoint.ts';
import { interpretPickleGently, type PickleSummary } from './pickle/interpret.ts';
import type { Profile } from './pickle/machine.ts';
import type { StorageValue } from './pickle/values.ts';
import { MAX_PICKLE_BYTES, trailing } from './pickle-file.ts';
import { Refusal } from './refusal.ts';

/** Torch strips the first path segment, whatever it is called. */
export type Records = ReadonlyMap<string, Member>;

/** Records by name without their common root. */
export function stripRoot(index: ContainerIndex): Records {
  const root = index.members[0]?.name.split('/', 1)[0] ?? '';
  const records = new Map<string, Member>();
  for (const member of index.members) {
    if (!member.name.startsWith(`${root}/`))
      throw new Refusal('torch_layout', 'The records lie under more than one root.');
    records.set(member.name.slice(root.length + 1), member);
  }
  return records;
}

/** Interprets one pickle record, which must be exactly as long as its stream. */
export async function inspectRecordPickle(
  file: RandomAccess,
  records: Records,
  name: string,
  profile: Profile,
): Promise<{ summary: PickleSummary; storages: Map<string, StorageValue> }> {
  const member = records.get(name);
  if (member === undefined) throw new Refusal('torch_layout', `The record ${name} is missing.`);
  if (member.size > MAX_PICKLE_BYTES) throw new Refusal('pickle_limit', `The record ${name} is larger than 256 MiB.`);
  const storages = new Map<string, StorageValue>();
  const bytes = await readWhole(file, member, MAX_PICKLE_BYTES);
  const summary = await interpretPickleGently(bytes, { profile, storages });
  if (summary.end !== bytes.length) throw trailing(summary.end);
  return { summary, storages };
}

/** Every storage has its record, of its size, and every record its storage: torch reads past a short one. */
export function matchStorages(records: Records, prefix: string, storages: ReadonlyMap<string, StorageValue>): void {
  for (const storage of storages.values()) {
    const size = records.get(prefix + storage.key)?.size;
    if (size !== storage.byteLength) {
      const found = size === undefined ? 'is missing' : `has ${size} bytes instead of ${storage.byteLength}`;
      throw new Refusal('torch_storage_mismatch', `The record ${prefix}${storage.key} ${found}.`);
    }
  }
  for (const name of records.keys()) {
    if (name.startsWith(prefix) && !storages.has(name.slice(prefix.length))) {
      throw new Refusal('torch_layout', `No tensor refers to the record ${name}.`);
    }
  }
}

/** Torch itself ignores checksums, so a file that fails them would load differently in different readers. */
export async function verifyChecksums(file: RandomAccess, records: Records, prefix: string): Promise<void> {
  for (const [name, member] of records) {
    if (!name.startsWith(prefix)) continue;
    for await (const piece of readMember(file, member)) void piece;
  }
}

const BYTE_ORDER_BYTES = 16;
/** torch.save stores tensors uncompressed; a compressed one is unpacked in memory. */
const MAX_COMPRESSED_STORAGE_BYTES = 512 * 1024 * 1024;

/** Opens the storages of one pickled part; only after its records were matched. */
export async function storagesOf(file: RandomAccess, records: Records, prefix: string): Promise<Storages> {
  const order = records.get('byteorder');
  const isBigEndian = order !== undefined && (await readWhole(file, order, BYTE_ORDER_BYTES)).toString() === 'big';
  const open: Storages['open'] = async (storage) => {
    const member = records.get(prefix + storage.key);
    if (member === undefined)
      throw new Refusal('torch_storage_mismatch', `The record ${prefix}${storage.key} is missing.`);
    if (member.method === 'stored') return sliceAccess(file, member.offset, member.size);
    return memoryAccess(await readWhole(file, member, MAX_COMPRESSED_STORAGE_BYTES));
  };
  return { isLittleEndian: !isBigEndian, open };
}

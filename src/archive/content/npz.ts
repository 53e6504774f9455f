// NumPy's .npz format: a strict zip of nothing but .npy files.
import { readWhole, type ContainerIndex } from '../container.ts';
import { memoryAccess, sliceAccess, type RandomAccess } from '../random-access.ts';
import { inspectNpy } from './npy.ts';
import { Refusal } from './refusal.ts';
import { verifyChecksums } from './torch-records.ts';

/** Compressed arrays are unpacked in memory to be checked. */
const MAX_UNPACKED_BYTES = 256 * 1024 * 1024;

export function isNpz(index: ContainerIndex): boolean {
  return index.members.length > 0 && index.members.every(({ name }) => name.endsWith('.npy'));
}

export async function inspectNpz(file: RandomAccess, index: ContainerIndex): Promise<void> {
  for (const member of index.members) {
    if (member.method === 'deflate' && member.size > MAX_UNPACKED_BYTES) {
      throw new Refusal('limit_exceeded', `The compressed array ${member.name} is larger than 256 MiB.`);
    }
    if (member.method === 'stored') await inspectNpy(sliceAccess(file, member.offset, member.size));
    else await inspectNpy(memoryAccess(await readWhole(file, member, MAX_UNPACKED_BYTES)));
  }
  const stored = index.members.filter(({ method }) => method === 'stored');
  await verifyChecksums(file, new Map(stored.map((member) => [member.name, member])), '');
}

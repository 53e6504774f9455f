// Torch's checkpoint format before 1.6: five pickles (magic, protocol, system, object, keys), then the storages.
import { sliceAccess, type RandomAccess } from '../random-access.ts';
import type { Checkpoint, Storages } from './checkpoint.ts';
import type { StorageValue, Value } from './pickle/values.ts';
import { storageClass } from './pickle/globals.ts';
import type { PickleSummary } from './pickle/interpret.ts';
import { noteProtocol, readPickle, trailing } from './pickle-file.ts';
import { Refusal } from './refusal.ts';
import type { Report } from './report.ts';
import { checkSparse } from './sparse.ts';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;
/** Each storage starts with its element count. */
const COUNT_BYTES = 8;

export function isTorchMagic(value: Value): boolean {
  return value.kind === 'int' && value.value === MAGIC;
}

/** `magic` is the first pickle. Every byte of the file must belong to one of the parts. */
export async function inspectTorchLegacy(
  file: RandomAccess,
  magic: PickleSummary,
  report: Report,
): Promise<Checkpoint> {
  const protocol = await readPickle(file, magic.end);
  if (protocol.value.kind !== 'int' || protocol.value.value !== PROTOCOL_VERSION) {
    throw new Refusal('torch_layout', 'The legacy protocol version is unknown.', magic.end);
  }
  const system = await readPickle(file, protocol.end);
  if (system.value.kind !== 'dict')
    throw new Refusal('torch_layout', 'The system description is no dict.', protocol.end);
  const declared = new Map<string, StorageValue>();
  const profile = { reader: 'python', storages: 'legacy' } as const;
  const object = await readPickle(file, system.end, { profile, storages: declared });
  noteProtocol(object, report);
  const keys = await readPickle(file, object.end);
  const offsets = await checkStorages(file, keys, declared);
  const open: Storages['open'] = async (storage) => {
    const offset = offsets.get(storage.key);
    if (offset === undefined) throw new Refusal('torch_storage_mismatch', 'A tensor lies in a view of a storage.');
    return sliceAccess(file, offset, storage.byteLength);
  };
  const storages = { isLittleEndian: !isBigEndian(system.value), open };
  await checkSparse(object.sparse, storages);
  return { value: object.value, storages };
}

function isBigEndian(system: Value): boolean {
  if (system.kind !== 'dict') return false;
  const at = system.keys.findIndex((key) => key.kind === 'str' && key.text === 'little_endian');
  const value = system.values[at];
  return value?.kind === 'bool' && !value.value;
}

/** Where each storage's bytes start. */
async function checkStorages(
  file: RandomAccess,
  keys: PickleSummary,
  storages: ReadonlyMap<string, StorageValue>,
): Promise<ReadonlyMap<string, number>> {
  const seen = new Map<string, number>();
  let at = keys.end;
  for (const key of keys.value.kind === 'list' ? keys.value.items : [keys.value]) {
    const storage = key.kind === 'str' && !seen.has(key.text) ? storages.get(key.text) : undefined;
    if (storage === undefined) throw new Refusal('torch_storage_mismatch', 'A storage key is unknown.', keys.end);
    seen.set(storage.key, at + COUNT_BYTES);
    const header = await file.read(at, COUNT_BYTES);
    if (header.length < COUNT_BYTES) throw new Refusal('torch_storage_mismatch', 'A storage is missing.', at);
    const count = new DataView(header.buffer, header.byteOffset).getBigInt64(0, true);
    const width = BigInt(storageClass(`torch.${storage.type}`)?.elementBytes ?? 1);
    if (count * width !== BigInt(storage.byteLength)) {
      throw new Refusal('torch_storage_mismatch', `Storage ${storage.key} has another size than declared.`, at);
    }
    at += COUNT_BYTES + storage.byteLength;
    if (at > file.size) throw new Refusal('torch_storage_mismatch', 'A storage is cut short.', at);
  }
  if (seen.size !== storages.size) throw new Refusal('torch_storage_mismatch', 'A storage is not listed.', keys.end);
  if (at !== file.size) throw trailing(at);
  return seen;
}

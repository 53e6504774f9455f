// Checks of tensor and storage arguments: torch trusts sizes, strides and offsets, so they must fit the bytes that are there.
import { Refusal } from '../refusal.ts';
import { dtypeBits, storageClass } from './globals.ts';
import type { StorageValue, TensorValue, Value } from './values.ts';

/** Torch allows 64; more is an attack on stack buffers. */
const MAX_DIMENSIONS = 64;

const refuse = (message: string): never => {
  throw new Refusal('torch_storage_mismatch', message);
};

const malformed = (what: string): never => {
  throw new Refusal('pickle_call_not_allowed', `${what} has an argument of the wrong kind.`);
};

export function requireCount(value: Value | undefined, what: string): number {
  if (value?.kind !== 'int' || typeof value.value !== 'number' || value.value < 0) return malformed(what);
  return value.value;
}

/** A tuple, list or torch.Size of counts. */
export function requireCounts(value: Value | undefined, what: string): number[] {
  const items =
    value?.kind === 'tuple' || value?.kind === 'list' || (value?.kind === 'object' && value.type === 'torch.Size')
      ? (value.items ?? [])
      : malformed(what);
  if (items.length > MAX_DIMENSIONS) throw new Refusal('pickle_limit', `${what} has too many dimensions.`);
  return items.map((item) => requireCount(item, what));
}

export function requireDtype(value: Value | undefined, what: string): string {
  const name = value?.kind === 'global' && value.name.startsWith('torch.') ? value.name.slice('torch.'.length) : '';
  return dtypeBits(name) === undefined ? malformed(what) : name;
}

export function requireTensor(value: Value | undefined, what: string): TensorValue {
  return value?.kind === 'tensor' ? value : malformed(what);
}

/** A tensor over a storage: the last element it can reach must lie inside. `dtype` overrides the storage's own. */
export function viewTensor(
  args: readonly Value[],
  dtype: string | undefined,
  layout: TensorValue['layout'],
): TensorValue {
  const [storage, offsetArg, sizeArg, strideArg] = args;
  if (storage?.kind !== 'storage') return malformed('A tensor');
  const storageOffset = requireCount(offsetArg, 'A tensor offset');
  const size = requireCounts(sizeArg, 'A tensor size');
  const stride = requireCounts(strideArg, 'A tensor stride');
  const element = dtype ?? storageClass(`torch.${storage.type}`)?.dtype;
  const bits = element === undefined ? undefined : dtypeBits(element);
  if (element === undefined || bits === undefined) return malformed('A tensor type');
  if (size.length !== stride.length) refuse('A tensor has other strides than dimensions.');
  if (reach(storageOffset, size, stride) * BigInt(bits) > BigInt(storage.byteLength) * 8n) {
    refuse(`A tensor reaches outside its storage ${storage.key} of ${storage.byteLength} bytes.`);
  }
  return { kind: 'tensor', dtype: element, storage, storageOffset, size, stride, layout };
}

/** One past the last element index; an empty tensor reaches nothing, but its offset still counts. */
function reach(offset: number, size: readonly number[], stride: readonly number[]): bigint {
  let last = BigInt(offset);
  for (let i = 0; i < size.length; i++) {
    const count = size[i] as number;
    if (count === 0) return BigInt(offset);
    last += BigInt(count - 1) * BigInt(stride[i] as number);
  }
  return last + 1n;
}

const KEY = /^\d{1,20}$/;
const LOCATION = /^[a-z][a-z0-9_]{0,31}(:\d{1,4})?$/;

/**
 * A persistent id: ('storage', class, key, location, element count), with one view tuple more in the legacy format.
 * `known` remembers every storage, because all references to one key must agree: torch keeps the first.
 */
export function persistentStorage(id: Value, known: Map<string, StorageValue>, hasView: boolean): StorageValue {
  const items = id.kind === 'tuple' ? id.items : [];
  const [tag, type, key, location, numel, view] = items;
  if (items.length !== (hasView ? 6 : 5) || tag?.kind !== 'str' || tag.text !== 'storage' || type?.kind !== 'global') {
    return malformed('A persistent id');
  }
  const found = storageClass(type.name);
  if (found === undefined || key?.kind !== 'str' || location?.kind !== 'str') return malformed('A persistent id');
  if (!KEY.test(key.text) || !LOCATION.test(location.text)) refuse('A storage has an unusual key or location.');
  const byteLength = requireCount(numel, 'A storage') * found.elementBytes;
  if (!Number.isSafeInteger(byteLength)) refuse('A storage is larger than any file.');
  const known0 = known.get(key.text);
  if (known0 !== undefined && (known0.type !== found.name || known0.byteLength !== byteLength)) {
    refuse(`Storage ${key.text} is declared twice, differently.`);
  }
  const storage: StorageValue = known0 ?? { kind: 'storage', key: key.text, type: found.name, byteLength };
  known.set(key.text, storage);
  return view === undefined || view.kind === 'none' ? storage : storageView(storage, view, found.elementBytes);
}

/** Torch before 0.4 shared storages by views: (key, first element, element count). */
function storageView(root: StorageValue, view: Value, elementBytes: number): StorageValue {
  if (view.kind !== 'tuple' || view.items.length !== 3 || view.items[0]?.kind !== 'str') return malformed('A view');
  const first = requireCount(view.items[1], 'A view');
  const count = requireCount(view.items[2], 'A view');
  if ((first + count) * elementBytes > root.byteLength) refuse(`A view reaches outside storage ${root.key}.`);
  return { ...root, key: view.items[0].text, byteLength: count * elementBytes };
}

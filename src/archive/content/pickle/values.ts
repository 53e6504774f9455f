// What the interpreter knows about each object a pickle would make. Nothing is ever "unknown": what has no kind here is refused.
import { Refusal } from '../refusal.ts';

export interface StorageValue {
  readonly kind: 'storage';
  readonly key: string;
  /** Torch's storage class, such as `FloatStorage`. */
  readonly type: string;
  readonly byteLength: number;
}

export interface TensorValue {
  readonly kind: 'tensor';
  /** Torch's dtype name without the `torch.` prefix. */
  readonly dtype: string;
  /** Null for tensors without data of their own (meta, sparse, nested, wrapper). */
  readonly storage: StorageValue | null;
  /** In elements. */
  readonly storageOffset: number;
  readonly size: readonly number[];
  readonly stride: readonly number[];
  /** `flagged`: strided, but read with the conjugate or negative bit. */
  readonly layout: 'strided' | 'flagged' | 'sparse' | 'quantized' | 'other';
  readonly sparse?: SparseParts;
}

/** What a sparse tensor is made of. Torch trusts the numbers in `indices`, so their storages must be read. */
export interface SparseParts {
  /** Such as `torch.sparse_coo`. */
  readonly layout: string;
  /** COO: one tensor of coordinates. Compressed layouts: compressed indices, plain indices. */
  readonly indices: readonly TensorValue[];
  readonly values: TensorValue;
}

export interface DictValue {
  readonly kind: 'dict';
  readonly type: 'dict' | 'OrderedDict' | 'Counter';
  readonly keys: Value[];
  readonly values: Value[];
}

export type Value =
  | { readonly kind: 'none' }
  | { readonly kind: 'bool'; readonly value: boolean }
  /** A bigint only where a double could not hold the value. */
  | { readonly kind: 'int'; readonly value: number | bigint }
  | { readonly kind: 'float'; readonly value: number }
  /** `isPlain` is false where the stream spelled the text with escapes: such a text never names a global. */
  | { readonly kind: 'str'; readonly text: string; readonly isPlain: boolean }
  | { readonly kind: 'bytes'; readonly byteLength: number }
  /** `weight` counts the leaves below, shared ones again: what hashing the tuple costs. */
  | { readonly kind: 'tuple'; readonly items: readonly Value[]; readonly weight: number }
  | { readonly kind: 'list'; readonly items: Value[] }
  | { readonly kind: 'set' }
  | DictValue
  /** An allowlisted global, by its full dotted name. */
  | { readonly kind: 'global'; readonly name: string }
  /** A finished harmless object: a device, a size, a layout, a complex number. */
  | { readonly kind: 'object'; readonly type: string; readonly items?: readonly Value[]; readonly name?: string }
  | StorageValue
  | TensorValue;

export const NONE: Value = { kind: 'none' };
export const TRUE: Value = { kind: 'bool', value: true };
export const FALSE: Value = { kind: 'bool', value: false };

export function tuple(items: readonly Value[]): Value {
  let weight = 1;
  for (const item of items) weight += item.kind === 'tuple' ? item.weight : 1;
  return { kind: 'tuple', items, weight: Math.min(weight, Number.MAX_SAFE_INTEGER) };
}

export function integer(value: bigint): Value {
  const small = Number(value);
  return { kind: 'int', value: Number.isSafeInteger(small) ? small : value };
}

/** Hashing recurses in C and is not shared: a nested tuple of 2^50 leaves fits in 200 bytes. */
const MAX_KEY_WEIGHT = 10_000;
const HASHABLE = new Set(['none', 'bool', 'int', 'float', 'str', 'bytes', 'global', 'object', 'tensor', 'storage']);

/** Dictionary keys and set members must be hashable, at bounded cost. */
export function requireHashable(root: Value): void {
  if (root.kind === 'tuple' && root.weight > MAX_KEY_WEIGHT) throw new Refusal('pickle_limit', 'A key nests too deep.');
  const pending = [root];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (value.kind === 'tuple') pending.push(...value.items);
    else if (!HASHABLE.has(value.kind)) throw new Refusal('pickle_malformed', `A ${value.kind} cannot be a key.`);
  }
}

/** Nesting that a rule looks into: arguments, their parts, and the parts' own. */
const MAX_COST_DEPTH = 4;

/** How many values a rule may have to look at, whatever it does with them. */
export function costOf(value: Value, depth = 0): number {
  if (value.kind === 'list') return value.items.length;
  if (value.kind === 'dict') return value.keys.length;
  if (value.kind !== 'tuple') return 1;
  if (depth >= MAX_COST_DEPTH) return value.weight;
  return value.items.reduce((sum, item) => sum + costOf(item, depth + 1), value.items.length);
}

// A torch checkpoint that has passed inspection: what its pickle makes, and where the bytes of its tensors lie.
import type { RandomAccess } from '../random-access.ts';
import type { StorageValue, Value } from './pickle/values.ts';

export interface Storages {
  readonly isLittleEndian: boolean;
  /** The bytes of one storage, exactly as many as it declares. */
  open(storage: StorageValue): Promise<RandomAccess>;
}

export interface Checkpoint {
  readonly value: Value;
  readonly storages: Storages;
}

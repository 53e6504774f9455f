// Indices of sparse tensors, read out of their storages: torch does not check them, and one that is too large writes
// outside the tensor as soon as somebody makes it dense.
import type { SparseParts, TensorValue } from './pickle/values.ts';
import type { Storages } from './checkpoint.ts';
import { Refusal } from './refusal.ts';

/** Indices are small beside weights; they are held in memory while they are checked. */
const MAX_INDEX_BYTES = 512 * 1024 * 1024;

/** All indices of one file: many tensors may point at one large storage, and each is checked anew. */
const MAX_TOTAL_INDEX_BYTES = 4 * 1024 * 1024 * 1024;

export async function checkSparse(tensors: readonly TensorValue[], storages: Storages): Promise<void> {
  let total = 0;
  for (const { sparse, size } of tensors) {
    if (sparse === undefined) continue;
    for (const { storage } of sparse.indices) total += storage?.byteLength ?? 0;
    if (total > MAX_TOTAL_INDEX_BYTES)
      throw new Refusal('limit_exceeded', 'Sparse tensors have more than 4 GiB of indices.');
    if (sparse.layout === 'torch.sparse_coo') await checkCoordinates(sparse, size, storages);
    else await checkCompressed(sparse, size, storages);
  }
}

/** `indices` is [sparse dimensions, entries]; row d counts positions of dimension d. */
async function checkCoordinates(parts: SparseParts, size: readonly number[], storages: Storages): Promise<void> {
  const [indices] = parts.indices;
  const [dimensions = 0, entries = 0] = indices?.size ?? [];
  if (indices === undefined || indices.size.length !== 2 || parts.values.size[0] !== entries) throw outside();
  if (dimensions + parts.values.size.length - 1 !== size.length) throw outside();
  const at = await indexReader(indices, storages);
  for (let d = 0; d < dimensions; d++) {
    const limit = size[d] as number;
    for (let entry = 0; entry < entries; entry++) {
      const position = at(d, entry);
      if (position < 0 || position >= limit) throw outside();
    }
  }
}

/** CSR and its kin: `compressed` is [batches, lines + 1] and counts up to the entries of each line; `plain` is [batches, entries]. */
async function checkCompressed(parts: SparseParts, size: readonly number[], storages: Storages): Promise<void> {
  const [compressed, plain] = parts.indices;
  if (compressed === undefined || plain === undefined) throw outside();
  const batchDims = compressed.size.length - 1;
  const batches = compressed.size.slice(0, -1).reduce((product, count) => product * count, 1);
  const isByRow = parts.layout === 'torch.sparse_csr' || parts.layout === 'torch.sparse_bsr';
  const isBlocked = parts.layout === 'torch.sparse_bsr' || parts.layout === 'torch.sparse_bsc';
  const entries = plain.size.at(-1) ?? -1;
  const [rows, columns] = [batchDims, batchDims + 1].map((dim, i) => {
    const block = isBlocked ? parts.values.size[batchDims + 1 + i] : 1;
    const count = size[dim];
    if (count === undefined || block === undefined || block === 0 || count % block !== 0) throw outside();
    return count / block;
  }) as [number, number];
  const [lines, width] = isByRow ? [rows, columns] : [columns, rows];
  const isShaped =
    batchDims >= 0 &&
    compressed.size.at(-1) === lines + 1 &&
    plain.size.length === batchDims + 1 &&
    plain.size.slice(0, -1).every((count, i) => count === compressed.size[i]) &&
    parts.values.size[batchDims] === entries;
  if (!isShaped) throw outside();
  const end = await indexReader(flattened(compressed), storages);
  const position = await indexReader(flattened(plain), storages);
  for (let batch = 0; batch < batches; batch++) {
    for (let line = 0; line <= lines; line++) {
      const least = line === 0 ? 0 : end(batch, line - 1);
      const count = end(batch, line);
      if (count < least || count > entries || (line === 0 && count !== 0)) throw outside();
    }
    if (end(batch, lines) !== entries) throw outside();
    for (let entry = 0; entry < entries; entry++) {
      if (position(batch, entry) < 0 || position(batch, entry) >= width) throw outside();
    }
  }
}

/** [.., n] as [product of .., n]; only contiguous batches occur. */
function flattened(tensor: TensorValue): TensorValue {
  const last = tensor.size.at(-1) as number;
  const batches = tensor.size.slice(0, -1).reduce((product, count) => product * count, 1);
  let expected = 1;
  for (let dim = tensor.size.length - 1; dim >= 0; dim--) {
    if ((tensor.size[dim] as number) > 1 && tensor.stride[dim] !== expected) throw outside();
    expected *= tensor.size[dim] as number;
  }
  return { ...tensor, size: [batches, last], stride: [last, 1] };
}

/** Element (i, j) of a matrix of int64 or int32. Its bounds were checked when the tensor was built. */
async function indexReader(tensor: TensorValue, storages: Storages): Promise<(i: number, j: number) => number> {
  const { storage, storageOffset, stride, dtype } = tensor;
  if (storage === null || storage.byteLength > MAX_INDEX_BYTES || (dtype !== 'int64' && dtype !== 'int32'))
    throw outside();
  // A stride of zero could promise any number of elements out of a few bytes.
  const elements = tensor.size.reduce((product, count) => product * count, 1);
  if (elements * (dtype === 'int64' ? 8 : 4) > storage.byteLength) throw outside();
  const bytes = await (await storages.open(storage)).read(0, storage.byteLength);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [first, second] = stride as [number, number];
  const isLittle = storages.isLittleEndian;
  // A number beyond 2^53 is far outside any tensor, however it rounds.
  return dtype === 'int64'
    ? (i, j) => Number(view.getBigInt64((storageOffset + i * first + j * second) * 8, isLittle))
    : (i, j) => view.getInt32((storageOffset + i * first + j * second) * 4, isLittle);
}

function outside(): Refusal {
  return new Refusal(
    'torch_storage_mismatch',
    'A sparse tensor has indices outside its size, or that cannot be checked.',
  );
}

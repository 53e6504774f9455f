// The globals that torch.load(weights_only=True) accepts on torch 2.10 to 2.13, by full name; test/attack compares with the real list.

const words = (text: string): string[] => text.trim().split(/\s+/);
const prefixed = (prefix: string, names: readonly string[]): string[] => names.map((name) => `${prefix}.${name}`);

const DTYPES = words(`
  float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex128 complex64 complex32
  qint8 qint32 quint8 quint4x2 quint2x4 bits8 bits16 bits1x8 bits2x4 bits4x2
  float8_e5m2 float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz float8_e8m0fnu float4_e2m1fn_x2
  uint16 uint32 uint64 uint1 uint2 uint3 uint4 uint5 uint6 uint7 int1 int2 int3 int4 int5 int6 int7`);

const QUANTIZATION_SCHEMES = words(`
  per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric per_channel_affine_float_qparams`);

const NUMBER_CLASSES = words('Double Float Half BFloat16 Long Int Short Char Byte');
const STORAGES = [...NUMBER_CLASSES, 'Bool', 'ComplexDouble', 'ComplexFloat'].map((name) => `${name}Storage`);
const QUANTIZED_STORAGES = words('QUInt8Storage QInt8Storage QInt32Storage QUInt4x2Storage QUInt2x4Storage');
const TENSORS = [...NUMBER_CLASSES, 'Bool'].map((name) => `${name}Tensor`);
const SPARSE_TENSORS = NUMBER_CLASSES.map((name) => `${name}Tensor`);

const REBUILDERS = words(`
  _rebuild_parameter _rebuild_parameter_with_state _rebuild_qtensor _rebuild_tensor _rebuild_tensor_v2
  _rebuild_tensor_v3 _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage _rebuild_nested_tensor
  _rebuild_wrapper_subclass _rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor`);

export const WEIGHTS_ONLY_GLOBALS: ReadonlySet<string> = new Set([
  ...words('collections.OrderedDict collections.Counter builtins.set builtins.bytearray builtins.complex'),
  ...words('_codecs.encode torch.nn.parameter.Parameter torch.Tensor torch.Size torch.device'),
  ...words('torch.serialization._get_layout torch.storage.TypedStorage torch.storage.UntypedStorage'),
  'torch._tensor._rebuild_from_type_v2',
  ...prefixed('torch', [...DTYPES, ...QUANTIZATION_SCHEMES, ...STORAGES, ...QUANTIZED_STORAGES, ...TENSORS]),
  ...prefixed('torch.cuda', [...STORAGES, ...TENSORS]),
  ...prefixed('torch.sparse', SPARSE_TENSORS),
  ...prefixed('torch.cuda.sparse', SPARSE_TENSORS),
  ...prefixed('torch._utils', REBUILDERS),
]);

/** A plain value container that protocols below 4 can only spell as a call; torch itself does not load it. */
export const HARMLESS_GLOBALS: ReadonlySet<string> = new Set(['builtins.frozenset']);

/** What TorchScript's own C++ reader calls; it never reaches Python. */
export const TORCHSCRIPT_CALLS: ReadonlySet<string> = new Set(
  prefixed(
    'torch.jit._pickle',
    words('build_intlist build_tensorlist build_doublelist build_boollist restore_type_tag'),
  ),
);

/** Bytes of one element in storage, after the class name without `Storage`. */
const STORAGE_ELEMENT_BYTES: Readonly<Record<string, number>> = {
  Double: 8, Float: 4, Half: 2, BFloat16: 2, Long: 8, Int: 4, Short: 2, Char: 1, Byte: 1, Bool: 1,
  ComplexDouble: 16, ComplexFloat: 8, QUInt8: 1, QInt8: 1, QInt32: 4, QUInt4x2: 1, QUInt2x4: 1, Untyped: 1,
}; // prettier-ignore

const STORAGE_DTYPES: Readonly<Record<string, string>> = {
  Double: 'float64', Float: 'float32', Half: 'float16', BFloat16: 'bfloat16', Long: 'int64', Int: 'int32',
  Short: 'int16', Char: 'int8', Byte: 'uint8', Bool: 'bool', ComplexDouble: 'complex128', ComplexFloat: 'complex64',
  QUInt8: 'quint8', QInt8: 'qint8', QInt32: 'qint32', QUInt4x2: 'quint4x2', QUInt2x4: 'quint2x4', Untyped: 'uint8',
}; // prettier-ignore

const STORAGE_NAME = /^torch\.(?:cuda\.|storage\.)?([A-Z]\w*)Storage$/;

/** The element width and dtype of an allowlisted storage class; undefined for anything else. */
export function storageClass(globalName: string): { name: string; elementBytes: number; dtype: string } | undefined {
  const name = STORAGE_NAME.exec(globalName)?.[1];
  const elementBytes = name === undefined ? undefined : STORAGE_ELEMENT_BYTES[name];
  if (name === undefined || elementBytes === undefined) return undefined;
  return { name: `${name}Storage`, elementBytes, dtype: STORAGE_DTYPES[name] as string };
}

const DTYPE_BITS: Readonly<Record<string, number>> = {
  float64: 64, int64: 64, uint64: 64, complex64: 64, complex128: 128, float32: 32, int32: 32, uint32: 32, qint32: 32,
  complex32: 32, float16: 16, bfloat16: 16, int16: 16, uint16: 16, bits16: 16, quint4x2: 4, quint2x4: 2,
}; // prettier-ignore
const DTYPE_NAMES: ReadonlySet<string> = new Set(DTYPES);

/** Bits of one element of a dtype such as `float32`; undefined for a name that is no dtype. */
export function dtypeBits(dtype: string): number | undefined {
  return DTYPE_NAMES.has(dtype) ? (DTYPE_BITS[dtype] ?? 8) : undefined;
}

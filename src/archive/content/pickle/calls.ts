// What REDUCE, NEWOBJ and BUILD may do: one rule per callable that torch's weights_only reader would call, arguments included.
import { Refusal } from '../refusal.ts';
import { dtypeBits, TORCHSCRIPT_CALLS } from './globals.ts';
import { requireCount, requireCounts, requireDtype, requireTensor, viewTensor } from './tensors.ts';
import { requireHashable, type DictValue, type TensorValue, type Value } from './values.ts';

type Args = readonly Value[];
type Rule = (args: Args) => Value;

const PARAMETER = 'torch.nn.parameter.Parameter';
const DEVICE = /^[a-z][a-z0-9_]{0,31}(:\d{1,4})?$/;
const SPARSE_LAYOUTS = new Set([
  'torch.sparse_coo',
  'torch.sparse_csr',
  'torch.sparse_csc',
  'torch.sparse_bsr',
  'torch.sparse_bsc',
]);
const LAYOUTS = new Set(
  ['strided', 'sparse_coo', 'sparse_csr', 'sparse_csc', 'sparse_bsr', 'sparse_bsc', '_mkldnn', 'jagged'].map(
    (name) => `torch.${name}`,
  ),
);

/** The value of `callable(*args)`, or a refusal. */
export function call(callable: Value, args: Value): Value {
  if (callable.kind !== 'global') return refuse(`A ${callable.kind} is called.`);
  if (args.kind !== 'tuple') return refuse(`${callable.name} is called without an argument tuple.`);
  const rule = RULES.get(callable.name);
  if (rule === undefined) return refuse(`${callable.name} is called.`);
  return rule(args.items);
}

/** NEWOBJ: `cls.__new__(cls, *args)`; torch makes an exception for Parameter, which it calls. */
export function makeNew(cls: Value, args: Value): Value {
  if (cls.kind === 'global' && args.kind === 'tuple') {
    if (cls.name === PARAMETER) return call(cls, args);
    if (cls.name === 'collections.OrderedDict' && args.items.length === 0) return call(cls, args);
  }
  return refuse(`A new object of ${cls.kind === 'global' ? cls.name : cls.kind} is made.`);
}

/** BUILD: attributes of an OrderedDict, or the state of a tensor from torch before 0.4. */
export function build(target: Value, state: Value): void {
  if (target.kind === 'dict' && target.type === 'OrderedDict') return requireAttributes(state, new Set());
  if (target.kind === 'tensor' && state.kind === 'tuple') {
    const { items } = state;
    if (items.length === 3) return requireHooks(items[0], items[2]);
    if (items.length === 4) return void viewTensor(items, undefined, 'strided');
    if (items.length === 5) {
      requireTensor(items[0], 'A tensor state');
      return requireHooks(items[3], items[2]);
    }
  }
  refuse(`The state of a ${target.kind} is set.`);
}

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['collections.OrderedDict', (args) => (args.length === 0 ? newDict('OrderedDict') : fromPairs(only(args)))],
  ['collections.Counter', (args) => counter(args)],
  ['builtins.set', (args) => newSet(args)],
  ['builtins.frozenset', (args) => newSet(args)],
  ['builtins.bytearray', (args) => newBytes(args, 'builtins.bytearray')],
  ['_codecs.encode', (args) => (args.length === 2 ? newBytes(args, '_codecs.encode') : refuse('_codecs.encode'))],
  ['builtins.complex', (args) => plainObject('builtins.complex', args, ['float', 'float'])],
  ['torch.device', newDevice],
  ['torch.Size', (args) => ({ kind: 'object', type: 'torch.Size', items: countsOf(only(args)) })],
  ['torch.serialization._get_layout', newLayout],
  [PARAMETER, newParameter],
  ['torch._utils._rebuild_tensor', (args) => exactly(args, 4, 4) && viewTensor(args, undefined, 'strided')],
  ['torch._utils._rebuild_tensor_v2', rebuildTensorV2],
  ['torch._utils._rebuild_tensor_v3', rebuildTensorV3],
  ['torch._utils._rebuild_qtensor', rebuildQuantized],
  ['torch._utils._rebuild_sparse_tensor', rebuildSparse],
  ['torch._utils._rebuild_nested_tensor', rebuildNested],
  ['torch._utils._rebuild_meta_tensor_no_storage', rebuildMeta],
  ['torch._utils._rebuild_wrapper_subclass', rebuildWrapper],
  ['torch._utils._rebuild_device_tensor_from_cpu_tensor', rebuildOnDevice],
  ['torch._utils._rebuild_parameter', (args) => exactly(args, 3, 3) && rebuildParameter(args)],
  ['torch._utils._rebuild_parameter_with_state', rebuildParameterWithState],
  ['torch._tensor._rebuild_from_type_v2', rebuildFromType],
]);

/** Calls in a TorchScript archive: lists of numbers and tensors, made by torch's C++ reader. */
export function callTorchScript(callable: Value, args: Value): Value {
  if (callable.kind !== 'global' || !TORCHSCRIPT_CALLS.has(callable.name)) return call(callable, args);
  const first = args.kind === 'tuple' ? args.items[0] : undefined;
  return first ?? refuse(`${callable.name} is called without an argument.`);
}

function rebuildTensorV2(args: Args): TensorValue {
  exactly(args, 6, 7);
  requireHooks(args[4], args[5]);
  return viewTensor(args, undefined, layoutOf(args[6]));
}

function rebuildTensorV3(args: Args): TensorValue {
  exactly(args, 7, 8);
  requireHooks(args[4], args[5]);
  return viewTensor(args, requireDtype(args[6], 'A tensor'), layoutOf(args[7]));
}

function rebuildQuantized(args: Args): TensorValue {
  exactly(args, 7, 7);
  requireHooks(args[5], args[6]);
  const quantizer = args[4]?.kind === 'tuple' ? args[4].items : [];
  const [scheme, scales, zeroPoints, axis] = quantizer;
  const name = scheme?.kind === 'global' ? scheme.name : '';
  const tensor = viewTensor(args, undefined, 'quantized');
  if (name === 'torch.per_tensor_affine') {
    if (quantizer.length === 3 && scales?.kind === 'float' && zeroPoints?.kind === 'int') return tensor;
  } else if (name === 'torch.per_channel_affine' || name === 'torch.per_channel_affine_float_qparams') {
    const channels = tensor.size[requireCount(axis, 'A quantization axis')];
    if (quantizer.length === 4 && channels !== undefined) {
      if (lengthOf(scales) === channels && lengthOf(zeroPoints) === channels) return tensor;
    }
  }
  return refuse('A quantized tensor has inconsistent parameters.');
}

function lengthOf(value: Value | undefined): number {
  if (value?.kind === 'list') return value.items.length;
  return requireTensor(value, 'Quantization parameters').size.reduce((product, count) => product * count, 1);
}

function rebuildSparse(args: Args): TensorValue {
  exactly(args, 2, 2);
  const [layout, data] = args;
  const items = data?.kind === 'tuple' ? data.items : [];
  if (layout?.kind !== 'object' || layout.type !== 'torch.layout') return refuse('A sparse tensor has no layout.');
  const name = layout.name ?? '';
  const tensors = items.filter((item) => item.kind === 'tensor');
  const values = tensors.at(-1);
  const size = items[tensors.length];
  const isCoo = name === 'torch.sparse_coo';
  const isUsual = SPARSE_LAYOUTS.has(name) && tensors.length === (isCoo ? 2 : 3) && items.length <= tensors.length + 2;
  if (!isUsual || values === undefined) return refuse('A sparse tensor has unusual parts.');
  const tensor = looseTensor(values.dtype, requireCounts(size, 'A sparse size'), 'sparse');
  return { ...tensor, sparse: { layout: name, indices: tensors.slice(0, -1), values } };
}

function rebuildNested(args: Args): TensorValue {
  exactly(args, 4, 4);
  const tensors = args.map((arg) => requireTensor(arg, 'A nested tensor'));
  return looseTensor((tensors[0] as TensorValue).dtype, [], 'other');
}

function rebuildMeta(args: Args): TensorValue {
  exactly(args, 4, 4);
  requireCounts(args[2], 'A meta tensor');
  return looseTensor(requireDtype(args[0], 'A meta tensor'), requireCounts(args[1], 'A meta tensor'), 'other');
}

function rebuildWrapper(args: Args): TensorValue {
  exactly(args, 8, 8);
  requireTensorType(args[0]);
  requireCounts(args[3], 'A wrapper tensor');
  return looseTensor(requireDtype(args[1], 'A wrapper tensor'), requireCounts(args[2], 'A wrapper tensor'), 'other');
}

function rebuildOnDevice(args: Args): TensorValue {
  exactly(args, 4, 4);
  const tensor = requireTensor(args[0], 'A device tensor');
  const device = args[2];
  if (device?.kind !== 'str' || !DEVICE.test(device.text)) return refuse('A tensor names an unusual device.');
  return { ...tensor, dtype: requireDtype(args[1], 'A device tensor'), layout: 'other' };
}

function newParameter(args: Args): TensorValue {
  exactly(args, 1, 2);
  return requireTensor(args[0], 'A Parameter');
}

function rebuildParameter(args: Args): TensorValue {
  requireHooks(args[1], args[2]);
  return requireTensor(args[0], 'A Parameter');
}

function rebuildParameterWithState(args: Args): TensorValue {
  exactly(args, 4, 4);
  requireTensorAttributes(args[3]);
  return rebuildParameter(args);
}

/** (function, class, arguments, state): the function is called like any other, so it obeys its own rule. */
function rebuildFromType(args: Args): Value {
  exactly(args, 4, 4);
  const [callable, type, callArgs, state] = args as [Value, Value, Value, Value];
  requireTensorType(type);
  if (callable.kind !== 'global' || !callable.name.startsWith('torch._utils._rebuild_')) {
    return refuse('_rebuild_from_type_v2 calls something that is no tensor builder.');
  }
  requireTensorAttributes(state);
  return call(callable, callArgs);
}

function requireTensorType(type: Value | undefined): void {
  if (type?.kind !== 'global' || (type.name !== 'torch.Tensor' && type.name !== PARAMETER)) {
    refuse('A tensor takes the class of something that is no tensor.');
  }
}

/** Attributes that reach into the tensor itself instead of lying beside it. */
const TENSOR_INTERNALS = new Set(['data', 'grad', 'real', 'imag', 'names', '_grad', '_base', '_cdata', '_grad_fn']);

function requireTensorAttributes(state: Value | undefined): void {
  const parts = state?.kind === 'tuple' ? state.items : [state ?? refuse('A tensor has no state.')];
  if (parts.length > 2) refuse('A tensor has an unusual state.');
  for (const part of parts) if (part.kind !== 'none') requireAttributes(part, TENSOR_INTERNALS);
}

const ATTRIBUTE = /^(?!__)[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** A dict that becomes attributes: names only, and none that Python itself looks at. */
function requireAttributes(state: Value, forbidden: ReadonlySet<string>): void {
  if (state.kind !== 'dict') return refuse(`Attributes are set from a ${state.kind}.`);
  for (const key of state.keys) {
    const name = key.kind === 'str' ? key.text : '';
    if (!ATTRIBUTE.test(name) || name.endsWith('_hooks') || forbidden.has(name))
      refuse(`The attribute ${name} is set.`);
  }
}

/** requires_grad and backward hooks: a bool, and nothing (an empty OrderedDict or None). */
function requireHooks(requiresGrad: Value | undefined, hooks: Value | undefined): void {
  const isEmpty = hooks?.kind === 'none' || (hooks?.kind === 'dict' && hooks.keys.length === 0);
  if (requiresGrad?.kind !== 'bool' || !isEmpty) refuse('A tensor carries hooks.');
}

/** Metadata is the conjugate and negative bits, or nothing. */
function layoutOf(metadata: Value | undefined): 'strided' | 'flagged' {
  if (metadata === undefined || metadata.kind === 'none') return 'strided';
  const isUsual =
    metadata.kind === 'dict' &&
    metadata.values.every((value) => value.kind === 'bool') &&
    metadata.keys.every((key) => key.kind === 'str' && (key.text === 'conj' || key.text === 'neg'));
  return isUsual ? 'flagged' : refuse('A tensor carries unusual metadata.');
}

function looseTensor(dtype: string, size: readonly number[], layout: TensorValue['layout']): TensorValue {
  if (dtypeBits(dtype) === undefined) refuse(`${dtype} is no tensor type.`);
  return { kind: 'tensor', dtype, storage: null, storageOffset: 0, size, stride: [], layout };
}

export function newDict(type: DictValue['type']): DictValue {
  return { kind: 'dict', type, keys: [], values: [] };
}

/** Protocols 0 and 1 of Python 2 spelled an OrderedDict as a list of pairs. */
function fromPairs(pairs: Value): DictValue {
  const dict = newDict('OrderedDict');
  if (pairs.kind !== 'list') return refuse(`An OrderedDict is made of a ${pairs.kind}.`);
  for (const pair of pairs.items) {
    const [key, value] = pair.kind === 'list' || pair.kind === 'tuple' ? pair.items : [];
    if (key === undefined || value === undefined) return refuse('An OrderedDict is made of something else than pairs.');
    requireHashable(key);
    dict.keys.push(key);
    dict.values.push(value);
  }
  return dict;
}

function counter(args: Args): DictValue {
  if (args.length === 0) return newDict('Counter');
  const counts = only(args);
  if (counts.kind !== 'dict') return refuse(`A Counter is made of a ${counts.kind}.`);
  return { ...counts, type: 'Counter' };
}

function newSet(args: Args): Value {
  if (args.length > 0) {
    const members = only(args);
    if (members.kind !== 'list' && members.kind !== 'tuple') return refuse(`A set is made of a ${members.kind}.`);
    for (const member of members.items) requireHashable(member);
  }
  return { kind: 'set' };
}

/** Bytes spelled as Latin-1 text, or bytes again; never a number, which would allocate. */
function newBytes(args: Args, what: string): Value {
  const [source, encoding] = args;
  if (source === undefined) return { kind: 'bytes', byteLength: 0 };
  if (args.length === 1 && source.kind === 'bytes') return source;
  const isLatin1 = encoding?.kind === 'str' && /^latin-?1$/.test(encoding.text);
  if (args.length === 2 && source.kind === 'str' && isLatin1) return { kind: 'bytes', byteLength: source.text.length };
  return refuse(`${what} is called with unusual arguments.`);
}

function newDevice(args: Args): Value {
  exactly(args, 1, 2);
  const [type, index] = args;
  if (type?.kind !== 'str' || !DEVICE.test(type.text)) return refuse('torch.device is called with an unusual name.');
  if (index !== undefined) requireCount(index, 'torch.device');
  return { kind: 'object', type: 'torch.device' };
}

function newLayout(args: Args): Value {
  const name = only(args);
  if (name.kind !== 'str' || !LAYOUTS.has(name.text)) return refuse('A layout has an unusual name.');
  return { kind: 'object', type: 'torch.layout', name: name.text };
}

function plainObject(type: string, args: Args, kinds: readonly Value['kind'][]): Value {
  if (args.length !== kinds.length || args.some((arg, i) => arg.kind !== kinds[i]))
    refuse(`${type} has odd arguments.`);
  return { kind: 'object', type };
}

function countsOf(value: Value): Value[] {
  return requireCounts(value, 'torch.Size').map((count) => ({ kind: 'int', value: count }));
}

function only(args: Args): Value {
  const [first] = args;
  return first !== undefined && args.length === 1 ? first : refuse('A call has an unusual number of arguments.');
}

function exactly(args: Args, least: number, most: number): true {
  return (args.length >= least && args.length <= most) || refuse('A call has an unusual number of arguments.');
}

function refuse(message: string): never {
  throw new Refusal('pickle_call_not_allowed', message);
}

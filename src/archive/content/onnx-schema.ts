// The messages of ONNX (IR version 13) as far as a validator needs them: field number to what the wire may hold there.

/** `i` varint, `f` 32 bits, `d` 64 bits, `s` text or bytes, else the name of the nested message. */
export type FieldType = 'i' | 'f' | 'd' | 's' | MessageName;

export type MessageName =
  | 'Model' | 'OpsetId' | 'Graph' | 'Node' | 'Attribute' | 'Tensor' | 'Segment' | 'Entry' | 'SparseTensor' | 'Type'
  | 'TypeTensor' | 'TypeSequence' | 'TypeMap' | 'TypeOpaque' | 'Shape' | 'Dimension' | 'ValueInfo' | 'Annotation'
  | 'Training' | 'Function' | 'DeviceConfiguration' | 'NodeDevices' | 'Sharding' | 'IntIntList' | 'ShardedDim'
  | 'SimpleShardedDim'; // prettier-ignore

export const MESSAGES: Readonly<Record<MessageName, Readonly<Record<number, FieldType>>>> = {
  Model: {
    1: 'i', 2: 's', 3: 's', 4: 's', 5: 'i', 6: 's', 7: 'Graph', 8: 'OpsetId', 14: 'Entry', 20: 'Training',
    25: 'Function', 26: 'DeviceConfiguration',
  },
  OpsetId: { 1: 's', 2: 'i' },
  Graph: {
    1: 'Node', 2: 's', 5: 'Tensor', 10: 's', 11: 'ValueInfo', 12: 'ValueInfo', 13: 'ValueInfo', 14: 'Annotation',
    15: 'SparseTensor', 16: 'Entry',
  },
  Node: { 1: 's', 2: 's', 3: 's', 4: 's', 5: 'Attribute', 6: 's', 7: 's', 8: 's', 9: 'Entry', 10: 'NodeDevices' },
  Attribute: {
    1: 's', 2: 'f', 3: 'i', 4: 's', 5: 'Tensor', 6: 'Graph', 7: 'f', 8: 'i', 9: 's', 10: 'Tensor', 11: 'Graph', 13: 's',
    14: 'Type', 15: 'Type', 20: 'i', 21: 's', 22: 'SparseTensor', 23: 'SparseTensor',
  },
  Tensor: {
    1: 'i', 2: 'i', 3: 'Segment', 4: 'f', 5: 'i', 6: 's', 7: 'i', 8: 's', 9: 's', 10: 'd', 11: 'i', 12: 's', 13: 'Entry',
    14: 'i', 16: 'Entry',
  },
  Segment: { 1: 'i', 2: 'i' },
  Entry: { 1: 's', 2: 's' },
  SparseTensor: { 1: 'Tensor', 2: 'Tensor', 3: 'i' },
  Type: { 1: 'TypeTensor', 4: 'TypeSequence', 5: 'TypeMap', 6: 's', 7: 'TypeOpaque', 8: 'TypeTensor', 9: 'TypeSequence' },
  TypeTensor: { 1: 'i', 2: 'Shape' },
  TypeSequence: { 1: 'Type' },
  TypeMap: { 1: 'i', 2: 'Type' },
  TypeOpaque: { 1: 's', 2: 's' },
  Shape: { 1: 'Dimension' },
  Dimension: { 1: 'i', 2: 's', 3: 's' },
  ValueInfo: { 1: 's', 2: 'Type', 3: 's', 4: 'Entry' },
  Annotation: { 1: 's', 2: 'Entry' },
  Training: { 1: 'Graph', 2: 'Graph', 3: 'Entry', 4: 'Entry' },
  Function: {
    1: 's', 2: 'i', 3: 'i', 4: 's', 5: 's', 6: 's', 7: 'Node', 8: 's', 9: 'OpsetId', 10: 's', 11: 'Attribute',
    12: 'ValueInfo', 13: 's', 14: 'Entry',
  },
  DeviceConfiguration: { 1: 's', 2: 'i', 3: 's' },
  NodeDevices: { 1: 's', 2: 'Sharding', 3: 'i' },
  Sharding: { 1: 's', 2: 'i', 3: 'IntIntList', 4: 'ShardedDim' },
  IntIntList: { 1: 'i', 2: 'i' },
  ShardedDim: { 1: 'i', 2: 'SimpleShardedDim' },
  SimpleShardedDim: { 1: 'i', 2: 's', 3: 'i' },
}; // prettier-ignore

/** Fields with one message. Readers merge a second one into the first, so that neither alone says what they will see. */
export const SINGLE: Partial<Readonly<Record<MessageName, readonly number[]>>> = {
  Model: [7], Attribute: [5, 6, 14, 22], Tensor: [3], SparseTensor: [1, 2], Type: [1, 4, 5, 7, 8, 9], TypeTensor: [2],
  TypeSequence: [1], TypeMap: [2], ValueInfo: [2], Training: [1, 2],
}; // prettier-ignore

/** Bits of one element in raw_data, by TensorProto.DataType; strings and undefined have none. */
export const ELEMENT_BITS: readonly (number | undefined)[] = [
  undefined, 32, 8, 8, 16, 16, 32, 64, undefined, 8, 16, 64, 32, 64, 64, 128, 16, 8, 8, 8, 8, 4, 4, 4, 8, 2, 2, 6, 6,
]; // prettier-ignore

// Interprets one pickle without importing, calling or trusting anything, and says what it would make.
import { Refusal } from '../refusal.ts';
import { Cursor, NeedsMoreBytes } from './cursor.ts';
import { instruction } from './instructions.ts';
import { Machine, MAX_INSTRUCTIONS, type Profile } from './machine.ts';
import type { StorageValue, TensorValue, Value } from './values.ts';

export interface PickleSummary {
  readonly value: Value;
  /** Offset of the first byte after STOP. */
  readonly end: number;
  readonly protocol: number;
  readonly globals: ReadonlySet<string>;
  readonly isWeightsOnly: boolean;
  /** Sparse tensors, whose indices the caller must check where the storages are. */
  readonly sparse: readonly TensorValue[];
}

export const PLAIN: Profile = { reader: 'python', storages: 'none' };

export interface InterpretOptions {
  readonly start?: number;
  /** Bytes of the whole stream, when `bytes` holds only its head. */
  readonly total?: number;
  readonly profile?: Profile;
  /** Filled with every storage the stream refers to. */
  readonly storages?: Map<string, StorageValue>;
}

/**
 * Runs the pickle that starts at `start`. Throws a Refusal at the first thing that torch's restricted reader, or
 * sound construction, would not allow, and NeedsMoreBytes where `bytes` ends before the stream does.
 */
export function interpretPickle(bytes: Uint8Array, options: InterpretOptions = {}): PickleSummary {
  const slices = interpretInSlices(bytes, options);
  for (;;) {
    const { done, value } = slices.next();
    if (done === true) return value;
  }
}

/** The same, giving way to the event loop every few milliseconds: predictions do not wait for an inspection. */
export async function interpretPickleGently(bytes: Uint8Array, options: InterpretOptions = {}): Promise<PickleSummary> {
  const slices = interpretInSlices(bytes, options);
  for (;;) {
    const { done, value } = slices.next();
    if (done === true) return value;
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}

/** Some three milliseconds. */
const INSTRUCTIONS_PER_SLICE = 20_000;

function* interpretInSlices(bytes: Uint8Array, options: InterpretOptions): Generator<undefined, PickleSummary> {
  const { start = 0, total = bytes.length, profile = PLAIN, storages = new Map() } = options;
  const machine = new Machine(new Cursor(bytes, start, total), profile, storages);
  let offset = start;
  try {
    while (machine.result === undefined) {
      offset = machine.input.position;
      if (machine.instructions >= MAX_INSTRUCTIONS) throw new Refusal('pickle_limit', 'Too many instructions.');
      step(machine);
      if (machine.instructions % INSTRUCTIONS_PER_SLICE === 0) yield;
    }
    return summary(machine, machine.result);
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.offset !== undefined) throw thrown;
    throw new Refusal(thrown.code, thrown.message, offset);
  }
}

function step(machine: Machine): void {
  machine.instructions++;
  const byte = machine.input.opcode();
  const found = instruction(byte);
  if (found === undefined) throw new Refusal('pickle_malformed', `The byte 0x${byte.toString(16)} is no instruction.`);
  if (!found.isWeightsOnly) machine.isWeightsOnly = false;
  found.run(machine);
}

function summary(machine: Machine, value: Value): PickleSummary {
  return {
    value,
    end: machine.input.position,
    protocol: machine.protocol,
    globals: machine.globals,
    isWeightsOnly: machine.isWeightsOnly,
    sparse: machine.sparse,
  };
}

/**
 * Whether bytes of an unknown kind act like a pickle: imports that are called, or that a whole stream ends in.
 * `bytes` may be the head of a longer stream of `total` bytes: one that never failed until there is taken for a pickle.
 */
export function actsLikePickle(bytes: Uint8Array, total: number): boolean {
  const machine = new Machine(new Cursor(bytes, 0, total), { reader: 'probe', storages: 'none' }, new Map());
  try {
    for (let left = MAX_INSTRUCTIONS; left > 0 && machine.result === undefined; left--) step(machine);
  } catch (thrown) {
    if (thrown instanceof NeedsMoreBytes) return true;
    // Whatever else stopped the probe: what it saw until then counts.
  }
  return machine.globals.size > 0 && (machine.probedCalls > 0 || machine.result !== undefined);
}

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
  const { start = 0, total = bytes.length, profile = PLAIN, storages = new Map() } = options;
  const machine = new Machine(new Cursor(bytes, start, total), profile, storages);
  let offset = start;
  try {
    for (;;) {
      offset = machine.input.position;
      if (++machine.instructions > MAX_INSTRUCTIONS) throw new Refusal('pickle_limit', 'Too many instructions.');
      const byte = machine.input.opcode();
      const step = instruction(byte);
      if (step === undefined)
        throw new Refusal('pickle_malformed', `The byte 0x${byte.toString(16)} is no instruction.`);
      if (!step.isWeightsOnly) machine.isWeightsOnly = false;
      step.run(machine);
      if (machine.result !== undefined) return summary(machine, machine.result);
    }
  } catch (thrown) {
    if (thrown instanceof Refusal && thrown.offset === undefined)
      throw new Refusal(thrown.code, thrown.message, offset);
    throw thrown;
  }
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
    for (let left = MAX_INSTRUCTIONS; left > 0 && machine.result === undefined; left--) {
      const step = instruction(machine.input.opcode());
      if (step === undefined) break;
      step.run(machine);
    }
  } catch (thrown) {
    if (thrown instanceof NeedsMoreBytes) return true;
    // Whatever else stopped the probe: what it saw until then counts.
  }
  return machine.globals.size > 0 && (machine.probedCalls > 0 || machine.result !== undefined);
}

// A small assembler for classic BPF: labels, forward jumps, 32-bit constants.

interface Instruction {
  readonly code: number;
  readonly ifTrue: number;
  readonly ifFalse: number;
  readonly constant: number;
  readonly target?: string;
}

/** Opcodes of linux/bpf_common.h. */
const LOAD_WORD = 0x20;
const JUMP = 0x05;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

const BYTES_PER_INSTRUCTION = 8;
/** BPF_MAXINSNS: the kernel takes no longer program. */
const MAX_INSTRUCTIONS = 4096;

/** Conditional jumps reach 255 instructions only, so each is a short hop over (or onto) a long unconditional one. */
export class BpfAssembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();
  readonly #selfSlots: number[] = [];

  load(offset: number): this {
    return this.#add(LOAD_WORD, offset);
  }

  answer(value: number): this {
    return this.#add(RETURN, value);
  }

  jump(target: string): this {
    this.#instructions.push({ code: JUMP, ifTrue: 0, ifFalse: 0, constant: 0, target });
    return this;
  }

  /** `self` leaves a slot that the loading process fills with its process id. */
  ifEqual(value: number | 'self', target: string): this {
    if (value === 'self') this.#selfSlots.push(this.#instructions.length);
    return this.#add(JUMP_EQUAL, value === 'self' ? 0 : value, 0, 1).jump(target);
  }

  unlessEqual(value: number, target: string): this {
    return this.#add(JUMP_EQUAL, value, 1, 0).jump(target);
  }

  ifAtLeast(value: number, target: string): this {
    return this.#add(JUMP_AT_LEAST, value, 0, 1).jump(target);
  }

  ifAnyBit(bits: number, target: string): this {
    return this.#add(JUMP_ANY_BIT, bits, 0, 1).jump(target);
  }

  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`BPF label ${name} is defined twice`);
    this.#labels.set(name, this.#instructions.length);
    return this;
  }

  assemble(): { readonly bytes: Uint8Array; readonly selfSlots: readonly number[] } {
    if (this.#instructions.length > MAX_INSTRUCTIONS) throw new Error('BPF program is too long');
    const bytes = new Uint8Array(this.#instructions.length * BYTES_PER_INSTRUCTION);
    const view = new DataView(bytes.buffer);
    for (const [index, instruction] of this.#instructions.entries()) {
      const offset = index * BYTES_PER_INSTRUCTION;
      view.setUint16(offset, instruction.code, true);
      view.setUint8(offset + 2, instruction.ifTrue);
      view.setUint8(offset + 3, instruction.ifFalse);
      view.setUint32(offset + 4, this.#constant(instruction, index), true);
    }
    return { bytes, selfSlots: this.#selfSlots };
  }

  #add(code: number, constant: number, ifTrue = 0, ifFalse = 0): this {
    this.#instructions.push({ code, ifTrue, ifFalse, constant: constant >>> 0 });
    return this;
  }

  #constant(instruction: Instruction, index: number): number {
    if (instruction.target === undefined) return instruction.constant;
    const distance = (this.#labels.get(instruction.target) ?? -1) - index - 1;
    if (distance < 0) throw new Error(`BPF jump to ${instruction.target} does not go forward`);
    return distance;
  }
}

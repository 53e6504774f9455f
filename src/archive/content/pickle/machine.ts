// The state of the pickle machine: operand stack, marks and memo, exactly as CPython keeps them, holding abstract values.
import type { FindingCode } from '../../../kernel/index.ts';
import { Refusal } from '../refusal.ts';
import type { Cursor } from './cursor.ts';
import { HARMLESS_GLOBALS, TORCHSCRIPT_CALLS, WEIGHTS_ONLY_GLOBALS } from './globals.ts';
import { persistentStorage } from './tensors.ts';
import { costOf, requireHashable, type StorageValue, type TensorValue, type Value } from './values.ts';

/** Who reads the stream, and what it may therefore refer to. */
export interface Profile {
  readonly reader: 'python' | 'torchscript' | 'probe';
  /** Where persistent ids may point: nowhere, to records of a torch zip, or behind a legacy stream. */
  readonly storages: 'none' | 'zip' | 'legacy';
}

/** A checkpoint of 100,000 tensors needs some 3 million instructions. */
export const MAX_INSTRUCTIONS = 5_000_000;
const MAX_STACK = 1_000_000;
const MAX_MARKS = 10_000;
const MAX_MEMO = 1_000_000;
/** Values looked at in calls and keys: a shared one costs again each time, here as in the real reader. About a second. */
const MAX_WORK = 100_000_000;

const PART = /^[A-Za-z_][A-Za-z0-9_]*$/;
const SCRIPT_CLASS = /^__torch__(\.[A-Za-z_][A-Za-z0-9_]*)+$/;

export class Machine {
  readonly input: Cursor;
  readonly profile: Profile;
  /** Every global the stream asked for, in order of appearance. */
  readonly globals = new Set<string>();
  readonly storages: Map<string, StorageValue>;
  /** Sparse tensors, whose indices nobody has looked at yet. */
  readonly sparse: TensorValue[] = [];
  protocol = 0;
  instructions = 0;
  /** Calls a probe has seen: what tells a pickle from a text that happens to start like one. */
  probedCalls = 0;
  /** False once an instruction or global came that torch's restricted reader does not know. */
  isWeightsOnly = true;
  result: Value | undefined;
  readonly #stack: Value[] = [];
  readonly #marks: number[] = [];
  #work = 0;
  readonly #memo = new Map<number, Value>();

  constructor(input: Cursor, profile: Profile, storages: Map<string, StorageValue>) {
    this.input = input;
    this.profile = profile;
    this.storages = storages;
  }

  /** A probe does what CPython would and minds nothing else: it only finds out whether bytes are a pickle. */
  get isProbe(): boolean {
    return this.profile.reader === 'probe';
  }

  push(value: Value): void {
    if (this.#stack.length >= MAX_STACK) throw new Refusal('pickle_limit', 'The stack grows too large.');
    this.#stack.push(value);
  }

  /** Values below the last mark are out of reach, as in CPython. */
  pop(): Value {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw underflow();
    return this.#stack.pop() as Value;
  }

  top(): Value {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw underflow();
    return this.#stack.at(-1) as Value;
  }

  /** Pops a value that a rule will look into, and counts what that costs. */
  popCharged(): Value {
    const value = this.pop();
    if (!this.isProbe) this.charge(value);
    return value;
  }

  charge(value: Value): void {
    this.#work += costOf(value);
    if (this.#work > MAX_WORK) throw new Refusal('pickle_limit', 'The stream makes its reader work without end.');
  }

  mark(): void {
    if (this.#marks.length >= MAX_MARKS) throw new Refusal('pickle_limit', 'Too many open marks.');
    this.#marks.push(this.#stack.length);
  }

  popMark(): Value[] {
    const from = this.#marks.pop();
    if (from === undefined) throw underflow();
    return this.#stack.splice(from);
  }

  /** Pickle writers number their slots; a slot far ahead makes CPython allocate a table of that size. */
  remember(slot: number): void {
    if (!this.isProbe && (slot > this.instructions || slot >= MAX_MEMO)) {
      throw new Refusal('pickle_limit', `Memo slot ${slot} is out of order.`);
    }
    this.#memo.set(slot, this.top());
  }

  memoize(): void {
    this.remember(this.#memo.size);
  }

  recall(slot: number): void {
    const value = this.#memo.get(slot);
    if (value === undefined) throw new Refusal('pickle_malformed', `Memo slot ${slot} is empty.`);
    this.push(value);
  }

  /** An import. The pair must be the allowlisted name in its canonical split: no dots in the last part, no aliases. */
  pushGlobal(module: string, name: string): void {
    const canonical = this.protocol < 3 && module === '__builtin__' ? 'builtins' : module;
    const full = `${canonical}.${name}`;
    this.globals.add(full);
    if (this.isProbe) return this.push({ kind: 'object', type: 'probe' });
    if (!canonical.split('.').every((part) => PART.test(part)) || !PART.test(name)) {
      throw new Refusal('pickle_not_allowed', `The global ${full} is not a plain name.`);
    }
    // The legacy format fills storages after the tensors are built, which is too late for the sizes of a nested tensor.
    const isTooEarly = this.profile.storages === 'legacy' && full === 'torch._utils._rebuild_nested_tensor';
    if (HARMLESS_GLOBALS.has(full) || isTooEarly) this.isWeightsOnly = false;
    if (!WEIGHTS_ONLY_GLOBALS.has(full) && !HARMLESS_GLOBALS.has(full) && !this.#isScriptGlobal(full)) {
      throw new Refusal(refusalOf(canonical), `The global ${full} is not allowed.`);
    }
    this.push({ kind: 'global', name: full });
  }

  pushPersistent(id: Value): void {
    if (this.isProbe) return this.push({ kind: 'object', type: 'probe' });
    if (this.profile.storages === 'none') {
      throw new Refusal('pickle_opcode_not_allowed', 'A persistent id stands outside a torch checkpoint.');
    }
    const isLegacy = this.profile.storages === 'legacy';
    const storage = persistentStorage(id, this.storages, isLegacy);
    // Torch writes such storages in the old format, but cannot read them back.
    if (isLegacy && storage.type === 'UntypedStorage') this.isWeightsOnly = false;
    this.push(storage);
  }

  pushCalled(value: Value): void {
    if (value.kind === 'tensor' && value.sparse !== undefined) this.sparse.push(value);
    this.push(value);
  }

  setItems(target: Value, items: readonly Value[]): void {
    if (this.isProbe) return;
    if (target.kind !== 'dict') throw new Refusal('pickle_call_not_allowed', `Items are set on a ${target.kind}.`);
    if (items.length % 2 !== 0) throw new Refusal('pickle_malformed', 'A dictionary has a key without a value.');
    for (let i = 0; i < items.length; i += 2) {
      this.charge(items[i] as Value);
      requireHashable(items[i] as Value);
      target.keys.push(items[i] as Value);
      target.values.push(items[i + 1] as Value);
    }
  }

  stop(): void {
    this.result = this.pop();
    this.input.endFrameAtStop();
    if (this.#stack.length > 0 || this.#marks.length > 0) {
      throw new Refusal('pickle_malformed', 'Values are left over when the stream stops.');
    }
  }

  #isScriptGlobal(full: string): boolean {
    return this.profile.reader === 'torchscript' && (SCRIPT_CLASS.test(full) || TORCHSCRIPT_CALLS.has(full));
  }
}

const ESTIMATORS = /^(sklearn|joblib|xgboost|lightgbm|catboost|imblearn|scipy)(\.|$)/;

/** All of these are refused alike; what helps differs. */
function refusalOf(module: string): FindingCode {
  if (ESTIMATORS.test(module)) return 'pickle_estimator';
  return /^numpy(\._?core(\.|$)|$)/.test(module) ? 'pickle_numpy' : 'pickle_not_allowed';
}

function underflow(): Refusal {
  return new Refusal('pickle_malformed', 'The stack is empty where a value is needed.');
}

// All instructions of pickle protocols 0 to 5: the ones a tensor file needs with their meaning, the others by name, refused.
import { Refusal } from '../refusal.ts';
import { build, call, callTorchScript, makeNew, newDict } from './calls.ts';
import type { Machine } from './machine.ts';
import { FALSE, integer, NONE, requireHashable, TRUE, tuple, type Value } from './values.ts';

export interface Instruction {
  readonly name: string;
  /** Whether torch's restricted reader implements it. */
  readonly isWeightsOnly: boolean;
  run(machine: Machine): void;
}

const TABLE: (Instruction | undefined)[] = Array.from({ length: 256 });

/** Undefined for a byte that is no instruction of any protocol. */
export function instruction(byte: number): Instruction | undefined {
  return TABLE[byte];
}

function plain(byte: number, name: string, run: (m: Machine) => void): void {
  TABLE[byte] = { name, isWeightsOnly: false, run };
}

/** An instruction that weights_only reads too. */
function torch(byte: number, name: string, run: (m: Machine) => void): void {
  TABLE[byte] = { name, isWeightsOnly: true, run };
}

/** `probe` does to the stack what CPython would, so that a probe can tell a pickle from other bytes. */
function refused(byte: number, name: string, probe: (m: Machine) => void = () => {}): void {
  plain(byte, name, (m) => {
    if (m.isProbe) return probe(m);
    throw new Refusal('pickle_opcode_not_allowed', `The instruction ${name} is not allowed.`);
  });
}

// Stream
torch(0x80, 'PROTO', (m) => {
  m.protocol = m.input.u8();
  if (m.isProbe) return;
  if (m.instructions !== 1 || m.protocol < 2 || m.protocol > 5) {
    throw new Refusal('pickle_malformed', 'A protocol mark is misplaced or unknown.');
  }
});
plain(0x95, 'FRAME', (m) => {
  if (m.isProbe) return void m.input.take(8);
  if (m.protocol < 4) throw new Refusal('pickle_malformed', 'A frame needs protocol 4.');
  m.input.enterFrame(m.input.length64());
});
torch(0x2e, 'STOP', (m) => m.stop());

// Stack and memo
torch(0x28, 'MARK', (m) => m.mark());
plain(0x30, 'POP', (m) => void m.pop());
plain(0x31, 'POP_MARK', (m) => void m.popMark());
plain(0x32, 'DUP', (m) => m.push(m.top()));
plain(0x70, 'PUT', (m) => m.remember(slotText(m)));
torch(0x71, 'BINPUT', (m) => m.remember(m.input.u8()));
torch(0x72, 'LONG_BINPUT', (m) => m.remember(m.input.u32()));
plain(0x94, 'MEMOIZE', (m) => m.memoize());
plain(0x67, 'GET', (m) => m.recall(slotText(m)));
torch(0x68, 'BINGET', (m) => m.recall(m.input.u8()));
torch(0x6a, 'LONG_BINGET', (m) => m.recall(m.input.u32()));

// Constants and numbers
torch(0x4e, 'NONE', (m) => m.push(NONE));
torch(0x88, 'NEWTRUE', (m) => m.push(TRUE));
torch(0x89, 'NEWFALSE', (m) => m.push(FALSE));
plain(0x49, 'INT', (m) => {
  const text = m.input.line();
  m.push(text === '00' ? FALSE : text === '01' ? TRUE : decimal(m, text));
});
torch(0x4a, 'BININT', (m) => m.push({ kind: 'int', value: m.input.i32() }));
torch(0x4b, 'BININT1', (m) => m.push({ kind: 'int', value: m.input.u8() }));
torch(0x4d, 'BININT2', (m) => m.push({ kind: 'int', value: m.input.u16() }));
plain(0x4c, 'LONG', (m) => m.push(decimal(m, m.input.line().replace(/L$/, ''))));
torch(0x8a, 'LONG1', (m) => m.push(long(m.input.take(m.input.u8()))));
plain(0x8b, 'LONG4', (m) => m.push(long(m.input.take(m.input.i32()))));
plain(0x46, 'FLOAT', (m) => {
  const text = m.input.line();
  if (!m.isProbe && !/^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$|^-?(inf|nan)$/i.test(text)) throw badNumber();
  m.push({ kind: 'float', value: Number(text) });
});
torch(0x47, 'BINFLOAT', (m) => m.push({ kind: 'float', value: m.input.f64() }));

// Text and bytes
plain(0x53, 'STRING', (m) => m.push(quoted(m, m.input.line())));
plain(0x54, 'BINSTRING', (m) => m.push(ascii(m, m.input.take(m.input.i32()))));
torch(0x55, 'SHORT_BINSTRING', (m) => m.push(ascii(m, m.input.take(m.input.u8()))));
plain(0x56, 'UNICODE', (m) => m.push(rawUnicode(m.input.line())));
torch(0x58, 'BINUNICODE', (m) => m.push(utf8(m.input.take(m.input.u32()))));
plain(0x8c, 'SHORT_BINUNICODE', (m) => m.push(utf8(m.input.take(m.input.u8()))));
plain(0x8d, 'BINUNICODE8', (m) => m.push(utf8(m.input.take(m.input.length64()))));
plain(0x42, 'BINBYTES', (m) => m.push(bytes(m.input.take(m.input.u32()))));
plain(0x43, 'SHORT_BINBYTES', (m) => m.push(bytes(m.input.take(m.input.u8()))));
plain(0x8e, 'BINBYTES8', (m) => m.push(bytes(m.input.take(m.input.length64()))));
plain(0x96, 'BYTEARRAY8', (m) => m.push(bytes(m.input.take(m.input.length64()))));

// Containers
torch(0x5d, 'EMPTY_LIST', (m) => m.push({ kind: 'list', items: [] }));
plain(0x6c, 'LIST', (m) => m.push({ kind: 'list', items: m.popMark() }));
torch(0x61, 'APPEND', (m) => append(m, [m.pop()]));
torch(0x65, 'APPENDS', (m) => append(m, m.popMark()));
torch(0x7d, 'EMPTY_DICT', (m) => m.push(newDict('dict')));
plain(0x64, 'DICT', (m) => {
  const dict = newDict('dict');
  m.setItems(dict, m.popMark());
  m.push(dict);
});
torch(0x73, 'SETITEM', (m) => {
  const value = m.pop();
  const key = m.pop();
  m.setItems(m.top(), [key, value]);
});
torch(0x75, 'SETITEMS', (m) => {
  const items = m.popMark();
  m.setItems(m.top(), items);
});
torch(0x29, 'EMPTY_TUPLE', (m) => m.push(tuple([])));
torch(0x74, 'TUPLE', (m) => m.push(tuple(m.popMark())));
torch(0x85, 'TUPLE1', (m) => m.push(tuple(last(m, 1))));
torch(0x86, 'TUPLE2', (m) => m.push(tuple(last(m, 2))));
torch(0x87, 'TUPLE3', (m) => m.push(tuple(last(m, 3))));
torch(0x8f, 'EMPTY_SET', (m) => m.push({ kind: 'set' }));
plain(0x90, 'ADDITEMS', (m) => {
  const items = m.popMark();
  if (m.top().kind !== 'set')
    throw new Refusal('pickle_call_not_allowed', 'Members are added to something that is no set.');
  requireMembers(m, items);
});
plain(0x91, 'FROZENSET', (m) => {
  requireMembers(m, m.popMark());
  m.push({ kind: 'set' });
});

// Imports and calls
torch(0x63, 'GLOBAL', (m) => m.pushGlobal(m.input.line(), m.input.line()));
plain(0x93, 'STACK_GLOBAL', (m) => {
  const name = m.pop();
  const module = m.pop();
  if (m.isProbe) return m.pushGlobal(textOf(module), textOf(name));
  if (name.kind !== 'str' || module.kind !== 'str' || !name.isPlain || !module.isPlain) {
    throw new Refusal('pickle_not_allowed', 'A global is named by something that is no plain text.');
  }
  m.pushGlobal(module.text, name.text);
});
torch(0x52, 'REDUCE', (m) => {
  const args = m.popCharged();
  const callable = m.pop();
  if (m.isProbe) return probedCall(m);
  m.pushCalled(m.profile.reader === 'torchscript' ? callTorchScript(callable, args) : call(callable, args));
});
torch(0x81, 'NEWOBJ', (m) => {
  const args = m.popCharged();
  const cls = m.pop();
  if (m.isProbe) return probedCall(m);
  m.push(isScriptClass(cls) ? { kind: 'object', type: 'torchscript' } : makeNew(cls, args));
});
torch(0x62, 'BUILD', (m) => {
  const state = m.popCharged();
  const target = m.top();
  if (m.isProbe) return;
  if (target.kind !== 'object' || target.type !== 'torchscript') build(target, state);
});
torch(0x51, 'BINPERSID', (m) => m.pushPersistent(m.pop()));

refused(0x50, 'PERSID', (m) => {
  m.input.line();
  m.push({ kind: 'object', type: 'probe' });
});
refused(0x69, 'INST', (m) => {
  m.globals.add(`${m.input.line()}.${m.input.line()}`);
  m.popMark();
  probedCall(m);
});
refused(0x6f, 'OBJ', (m) => {
  if (m.popMark().length > 0) probedCall(m);
});
for (const [byte, name, width] of [
  [0x82, 'EXT1', 1],
  [0x83, 'EXT2', 2],
  [0x84, 'EXT4', 4],
] as const) {
  refused(byte, name, (m) => {
    m.input.take(width);
    m.push({ kind: 'object', type: 'probe' });
  });
}
refused(0x92, 'NEWOBJ_EX', (m) => {
  last(m, 3);
  probedCall(m);
});
refused(0x97, 'NEXT_BUFFER');
refused(0x98, 'READONLY_BUFFER');

function probedCall(m: Machine): void {
  m.probedCalls++;
  m.push({ kind: 'object', type: 'probe' });
}

function textOf(value: Value): string {
  return value.kind === 'str' ? value.text : value.kind;
}

function isScriptClass(cls: Value): boolean {
  return cls.kind === 'global' && cls.name.startsWith('__torch__.');
}

function requireMembers(m: Machine, items: readonly Value[]): void {
  for (const item of items) {
    m.charge(item);
    requireHashable(item);
  }
}

function append(m: Machine, items: readonly Value[]): void {
  const list = m.top();
  if (m.isProbe) return;
  if (list.kind !== 'list') throw new Refusal('pickle_call_not_allowed', `Items are appended to a ${list.kind}.`);
  for (const item of items) list.items.push(item);
}

function last(m: Machine, count: number): Value[] {
  const items: Value[] = [];
  for (let i = 0; i < count; i++) items.unshift(m.pop());
  return items;
}

function slotText(m: Machine): number {
  const text = m.input.line();
  if (!/^\d{1,10}$/.test(text)) throw badNumber();
  return Number(text);
}

/** CPython reads hexadecimal, blanks and underscores here and other readers do not: only plain decimals pass. */
const MAX_DECIMAL_DIGITS = 1000;

function decimal(m: Machine, text: string): Value {
  if (text.length > MAX_DECIMAL_DIGITS || !/^-?\d+$/.test(text)) {
    if (m.isProbe && /^\s*[-+]?\d/.test(text)) return { kind: 'int', value: 0 };
    throw badNumber();
  }
  return integer(BigInt(text));
}

function badNumber(): Refusal {
  return new Refusal('pickle_malformed', 'A number is not spelled as a plain decimal.');
}

/** Little-endian two's complement of any length. */
function long(data: Uint8Array): Value {
  if (data.length === 0) return { kind: 'int', value: 0 };
  const hex = Buffer.from(data).reverse().toString('hex');
  return integer(BigInt.asIntN(data.length * 8, BigInt(`0x${hex}`)));
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(data: Uint8Array): Value {
  try {
    return { kind: 'str', text: UTF8.decode(data), isPlain: true };
  } catch {
    throw new Refusal('pickle_malformed', 'A text is not UTF-8.');
  }
}

function ascii(m: Machine, data: Uint8Array): Value {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1');
  if (!m.isProbe && data.some((byte) => byte > 0x7f))
    throw new Refusal('pickle_malformed', 'A byte string is not ASCII.');
  return { kind: 'str', text, isPlain: true };
}

/** Escapes in quoted text exist to hide names; files of tensors have none. */
function quoted(m: Machine, line: string): Value {
  if (m.isProbe && /^(['"]).*\1$/.test(line)) return { kind: 'str', text: line.slice(1, -1), isPlain: true };
  const body = /^(['"])([\x20-\x7e]*)\1$/.exec(line)?.[2];
  if (body === undefined || /['"\\]/.test(body)) throw new Refusal('pickle_malformed', 'A quoted text has escapes.');
  return { kind: 'str', text: body, isPlain: true };
}

function rawUnicode(line: string): Value {
  const text = line.replace(/\\u([0-9a-fA-F]{4})|\\U0010([0-9a-fA-F]{4})|\\U000([0-9a-fA-F]{5})/g, (_, a, b, c) =>
    String.fromCodePoint(
      a !== undefined ? parseInt(a, 16) : b !== undefined ? 0x100000 + parseInt(b, 16) : parseInt(c, 16),
    ),
  );
  return { kind: 'str', text, isPlain: text === line };
}

function bytes(data: Uint8Array): Value {
  return { kind: 'bytes', byteLength: data.length };
}

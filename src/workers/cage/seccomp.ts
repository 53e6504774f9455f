// Compiles a filter profile into a seccomp program: classic BPF, as `bwrap --seccomp` and seccomp(2) read it.
import {
  AUDIT_ARCH,
  ERRNO,
  syscallNumbers,
  type Architecture,
  type ArgumentRule,
  type FilterProfile,
  type Verdict,
} from '../../policy/index.ts';
import { BpfAssembler } from './bpf.ts';

export interface SeccompProgram {
  /** An array of `struct sock_filter`, little-endian. */
  readonly bytes: Uint8Array;
  /** Indices of the instructions whose constant is the worker's process id. */
  readonly selfSlots: readonly number[];
}

/** Offsets in `struct seccomp_data`; of the 64-bit arguments the low half, both architectures being little-endian. */
const OFFSET = { number: 0, architecture: 4, argument: (index: number): number => 16 + 8 * index };

/** x86-64 numbers with this bit are the x32 ABI: the same calls under other numbers. */
const X32_BIT = 0x40000000;

/** Numbers of consecutive calls with the same answer. */
interface Range {
  readonly first: number;
  readonly decision: Verdict | ArgumentRule;
  readonly label: string;
}

/** Throws a plain Error when the profile does not fit into a program: a bug, not an input. */
export function compileFilter(profile: FilterProfile, architecture: Architecture): SeccompProgram {
  const program = new BpfAssembler();
  program.load(OFFSET.architecture).unlessEqual(AUDIT_ARCH[architecture], 'kill').load(OFFSET.number);
  if (architecture === 'x64') program.ifAtLeast(X32_BIT, 'kill');

  const ranges = decisionRanges(profile, architecture);
  const rules = new Map<string, ArgumentRule>();
  search(program, ranges, rules);
  for (const [label, rule] of rules) {
    program.label(label);
    emitRule(program, label, rule);
  }
  program.label('kill').answer(verdictValue('kill'));
  return program.assemble();
}

function decisionRanges(profile: FilterProfile, architecture: Architecture): Range[] {
  const names = new Map([...syscallNumbers(architecture)].map(([name, number]) => [number, name]));
  const end = Math.max(...names.keys()) + 1;
  const ranges: Range[] = [];
  for (let number = 0; number <= end; number++) {
    const name = names.get(number);
    const decision = name === undefined ? profile.unknown : (profile.rules.get(name) ?? profile.known);
    const label = isRule(decision) ? `rule ${String(name)}` : `answer ${verdictValue(decision)}`;
    if (ranges.at(-1)?.label !== label) ranges.push({ first: number, decision, label });
  }
  return ranges;
}

/** Binary search over the syscall number: at most nine comparisons for some hundred ranges. */
function search(program: BpfAssembler, ranges: readonly Range[], rules: Map<string, ArgumentRule>): void {
  const [only] = ranges;
  if (only === undefined) return;
  if (ranges.length === 1) {
    if (isRule(only.decision)) {
      rules.set(only.label, only.decision);
      program.jump(only.label);
    } else {
      program.answer(verdictValue(only.decision));
    }
    return;
  }
  const middle = Math.ceil(ranges.length / 2);
  const upper = ranges.slice(middle);
  const target = `from ${upper[0]?.first}`;
  program.ifAtLeast(upper[0]?.first ?? 0, target);
  search(program, ranges.slice(0, middle), rules);
  program.label(target);
  search(program, upper, rules);
}

function emitRule(program: BpfAssembler, label: string, rule: ArgumentRule): void {
  for (const [index, test] of rule.tests.entries()) {
    const hit = `${label} hit ${index}`;
    const miss = `${label} miss ${index}`;
    program.load(OFFSET.argument(test.argument));
    if ('anyBit' in test.match) program.ifAnyBit(test.match.anyBit, hit);
    else for (const value of test.match.oneOf) program.ifEqual(value, hit);
    program.jump(miss).label(hit).answer(verdictValue(test.verdict)).label(miss);
  }
  program.answer(verdictValue(rule.otherwise));
}

function isRule(decision: Verdict | ArgumentRule): decision is ArgumentRule {
  return typeof decision === 'object' && 'tests' in decision;
}

/** SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ERRNO. */
function verdictValue(verdict: Verdict): number {
  if (verdict === 'allow') return 0x7fff0000;
  if (verdict === 'kill') return 0x80000000;
  // Refused with no error: the call returns 0.
  if (verdict === 'pretend') return 0x00050000;
  return 0x00050000 | ERRNO[verdict.errno];
}

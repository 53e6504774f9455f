// Runs the compiled programs in a BPF interpreter, for both architectures: what the kernel would answer to each call.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  ARCHITECTURES,
  AUDIT_ARCH,
  innerFilter,
  syscallNumbers,
  workerFilter,
  type Architecture,
  type FilterOptions,
} from '../../policy/index.ts';
import { compileFilter, type SeccompProgram } from './seccomp.ts';

const STRICT: FilterOptions = {
  allowSubprocess: true,
  allowUnixSockets: false,
  allowMemfd: false,
  gpu: false,
  pinToSelf: false,
  keepInGroup: false,
  sharesOwner: false,
  isFinal: false,
};
const I386 = 0x40000003;

describe('a compiled worker filter', () => {
  for (const architecture of ARCHITECTURES) {
    const program = compileFilter(workerFilter(STRICT), architecture);
    const ask = asker(program, architecture);

    test(`answers every call of ${architecture} as its profile says`, () => {
      const profile = workerFilter(STRICT);
      for (const name of syscallNumbers(architecture).keys()) {
        const rule = profile.rules.get(name) ?? profile.known;
        if (typeof rule === 'object' && 'tests' in rule) continue;
        assert.equal(ask(name), typeof rule === 'string' ? rule : rule.errno, name);
      }
    });

    test(`refuses on ${architecture} what attacks are made of`, () => {
      for (const name of [
        'ptrace',
        'process_vm_readv',
        'process_vm_writev',
        'pidfd_open',
        'pidfd_getfd',
        'kcmp',
        'keyctl',
        'add_key',
        'bpf',
        'perf_event_open',
        'userfaultfd',
        'mount',
        'umount2',
        'pivot_root',
        'chroot',
        'fsopen',
        'open_tree',
        'move_mount',
        'unshare',
        'setns',
        'open_by_handle_at',
        'name_to_handle_at',
        'init_module',
        'kexec_load',
        'reboot',
        'setuid',
        'setgroups',
        'capset',
        'mknodat',
        'shmget',
        'msgget',
        'semget',
        'mq_open',
        'connect',
        'bind',
        'listen',
        'vmsplice',
        'process_madvise',
        'fanotify_init',
        'quotactl',
        'acct',
        'swapon',
        'syslog',
        'memfd_secret',
        'sched_setscheduler',
      ])
        assert.equal(ask(name), 'EPERM', name);
      for (const name of [
        'io_uring_setup',
        'clone3',
        'memfd_create',
        'mbind',
        'inotify_init1',
        'inotify_add_watch',
        'splice',
        'tee',
      ])
        assert.equal(ask(name), 'ENOSYS', name);
    });

    test(`looks at arguments on ${architecture}`, () => {
      assert.equal(ask('clone', 0x10000000 | 17), 'EPERM');
      assert.equal(ask('clone', 0x3d0f00), 'allow');
      assert.equal(ask('clone', 17), 'allow');
      assert.equal(ask('clone', 0x8000 | 17), 'EPERM');
      assert.equal(ask('socket', 1), 'EACCES');
      assert.equal(ask('socket', 2), 'EACCES');
      assert.equal(ask('socketpair', 1), 'allow');
      assert.equal(ask('socketpair', 16), 'EAFNOSUPPORT');
      assert.equal(ask('ioctl', 0, 0x5412), 'ENOTTY');
      assert.equal(ask('ioctl', 0, 0x1_0000_5412), 'ENOTTY');
      assert.equal(ask('ioctl', 0, 0x5401), 'allow');
      assert.equal(ask('prctl', 24), 'EPERM');
      assert.equal(ask('prctl', 15), 'allow');
      assert.equal(ask('seccomp', 1, 8), 'EPERM');
      assert.equal(ask('seccomp', 1, 1), 'allow');
      assert.equal(ask('personality', 0xffffffff), 'allow');
      assert.equal(ask('personality', 0x0040000), 'EPERM');
      assert.equal(ask('setsockopt', 3, 1, 26), 'EPERM');
      assert.equal(ask('setsockopt', 3, 1, 8), 'allow');
      for (const command of [8, 10, 15, 1024, 1026]) assert.equal(ask('fcntl', 3, command), 'EPERM', String(command));
      for (const command of [0, 1, 2, 3, 4, 1030]) assert.equal(ask('fcntl', 3, command), 'allow', String(command));
      assert.equal(ask('sendmsg', 3, 0, 1), 'EPERM');
      assert.equal(ask('sendmsg', 3, 0, 0x4000), 'allow');
    });

    test(`kills calls on ${architecture} that come in through another ABI`, () => {
      assert.equal(interpret(program, { number: 0, architecture: I386 }), 'kill');
      const x32 = interpret(program, { number: 0x40000000, architecture: AUDIT_ARCH[architecture] });
      assert.equal(x32, architecture === 'x64' ? 'kill' : 'ENOSYS');
    });

    test(`answers calls on ${architecture} that are newer than the table with "not implemented"`, () => {
      const highest = Math.max(...syscallNumbers(architecture).values());
      fc.assert(
        fc.property(fc.integer({ min: highest + 1, max: 0x3fffffff }), (number) => {
          assert.equal(interpret(program, { number, architecture: AUDIT_ARCH[architecture] }), 'ENOSYS');
        }),
      );
    });

    test(`never lets a thread of ${architecture} make a namespace, whatever else it asks for`, () => {
      fc.assert(
        fc.property(
          fc.nat({ max: 0xffffffff }),
          fc.constantFrom(0x20000, 0x2000000, 0x10000000, 0x40000000),
          (flags, bit) => {
            assert.equal(ask('clone', (flags | bit) >>> 0), 'EPERM');
          },
        ),
      );
    });
  }

  test('without subprocesses allows threads and nothing else that clones', () => {
    const ask = asker(compileFilter(workerFilter({ ...STRICT, allowSubprocess: false }), 'x64'), 'x64');
    assert.equal(ask('clone', 0x3d0f00), 'allow');
    for (const name of ['clone', 'fork', 'vfork']) assert.equal(ask(name, 17), 'EPERM', name);
  });

  test('pinned to itself lets a worker signal only itself, and keeps it in its process group', () => {
    const program = compileFilter(workerFilter({ ...STRICT, pinToSelf: true, keepInGroup: true }), 'x64');
    assert.ok(program.selfSlots.length > 0);
    const ask = asker(withSelf(program, 4711), 'x64');
    assert.equal(ask('kill', 4711), 'allow');
    assert.equal(ask('kill', 1), 'EPERM');
    assert.equal(ask('kill', 0xffffffff), 'EPERM');
    assert.equal(ask('tgkill', 4711), 'allow');
    assert.equal(ask('tgkill', 4712), 'EPERM');
    assert.equal(ask('prlimit64', 0), 'allow');
    assert.equal(ask('prlimit64', 4712), 'EPERM');
    assert.equal(ask('setsid'), 'EPERM');
  });

  test('with a GPU still refuses to type into terminals, and opens unix sockets only', () => {
    const ask = asker(compileFilter(workerFilter({ ...STRICT, gpu: true }), 'x64'), 'x64');
    assert.equal(ask('ioctl', 0, 0xc020462a), 'allow');
    assert.equal(ask('ioctl', 0, 0x5412), 'EPERM');
    assert.equal(ask('socket', 1), 'allow');
    assert.equal(ask('socket', 2), 'EAFNOSUPPORT');
  });
});

describe('a worker filter', () => {
  test('for one that shares the owner of other files only seems to change permissions and times', () => {
    const ask = asker(compileFilter(workerFilter({ ...STRICT, sharesOwner: true }), 'x64'), 'x64');
    for (const name of ['chmod', 'fchmod', 'fchmodat', 'fchmodat2', 'utime', 'utimes', 'utimensat', 'futimesat']) {
      assert.equal(ask(name), 'pretend', name);
    }
    assert.equal(ask('chown'), 'EPERM');
  });

  test('that is final leaves nothing of what only a start needs', () => {
    const ask = asker(compileFilter(workerFilter({ ...STRICT, isFinal: true }), 'x64'), 'x64');
    for (const name of ['seccomp', 'execveat', 'landlock_create_ruleset', 'pkey_alloc']) {
      assert.equal(ask(name), 'EPERM', name);
    }
    assert.equal(ask('prctl', 22), 'EPERM');
    assert.equal(ask('prctl', 1), 'pretend');
    assert.equal(ask('prctl', 24), 'EPERM');
    assert.equal(ask('prctl', 15), 'allow');
    assert.equal(ask('execve'), 'allow');
  });
});

describe('the inner filter', () => {
  test('takes away what only start-up needs, and children where they are not allowed', () => {
    const ask = asker(compileFilter(innerFilter({ allowSubprocess: false }), 'x64'), 'x64');
    for (const name of ['seccomp', 'execveat', 'execve', 'fork']) assert.equal(ask(name), 'EPERM', name);
    assert.equal(ask('clone', 0x3d0f00), 'allow');
    assert.equal(ask('read'), 'allow');
    assert.equal(ask('prctl', 1), 'pretend');
    assert.equal(ask('prctl', 22), 'EPERM');
    assert.equal(ask('prctl', 4), 'allow');
    assert.equal(asker(compileFilter(innerFilter({ allowSubprocess: true }), 'x64'), 'x64')('execve'), 'allow');
  });
});

type Answer = string;

function asker(program: SeccompProgram, architecture: Architecture): (name: string, ...args: number[]) => Answer {
  const numbers = syscallNumbers(architecture);
  return (name, ...args) => {
    const number = numbers.get(name);
    // arm64 has no fork, open, …: nothing to ask, and the answer for a missing number is tested on its own.
    if (number === undefined) return 'EPERM';
    return interpret(program, { number, architecture: AUDIT_ARCH[architecture], args });
  };
}

function withSelf(program: SeccompProgram, pid: number): SeccompProgram {
  const bytes = Uint8Array.from(program.bytes);
  for (const slot of program.selfSlots) new DataView(bytes.buffer).setUint32(slot * 8 + 4, pid, true);
  return { bytes, selfSlots: [] };
}

function interpret(
  program: SeccompProgram,
  call: { number: number; architecture: number; args?: readonly number[] },
): Answer {
  const data = new DataView(new ArrayBuffer(64));
  data.setInt32(0, call.number, true);
  data.setUint32(4, call.architecture, true);
  for (const [index, value] of (call.args ?? []).entries()) data.setBigUint64(16 + 8 * index, BigInt(value), true);
  const code = new DataView(program.bytes.buffer, program.bytes.byteOffset, program.bytes.byteLength);
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const constant = code.getUint32(at * 8 + 4, true);
    const jump = (condition: boolean): number => code.getUint8(at * 8 + (condition ? 2 : 3));
    const opcode = code.getUint16(at * 8, true);
    if (opcode === 0x20) accumulator = data.getUint32(constant, true);
    else if (opcode === 0x15) at += jump(accumulator === constant);
    else if (opcode === 0x35) at += jump(accumulator >= constant);
    else if (opcode === 0x45) at += jump((accumulator & constant) !== 0);
    else if (opcode === 0x05) at += constant;
    else if (opcode === 0x06) return answerName(constant);
    else throw new Error(`unknown opcode ${opcode}`);
  }
}

function answerName(value: number): Answer {
  const errnos: Record<number, string> = { 1: 'EPERM', 13: 'EACCES', 25: 'ENOTTY', 38: 'ENOSYS', 97: 'EAFNOSUPPORT' };
  if (value === 0x7fff0000) return 'allow';
  if (value === 0x80000000) return 'kill';
  if (value === 0x00050000) return 'pretend';
  return errnos[value & 0xffff] ?? `errno ${value & 0xffff}`;
}

"""Restrictions that a worker puts on itself: resource limits, Landlock, a seccomp filter. Standard library only.

Two ways in:

* ``apply(spec)``, called by the Python worker after it imported its framework and before it imports the handler;
* ``python3 -I -S -B cage.py FD``, which reads a spec from descriptor FD, applies it and becomes the command that the
  spec names. Landlock, seccomp and limits survive execve, so this confines Node workers as well.

Nothing here can be undone by the process afterwards. Whatever cannot be applied raises: the worker must not go on.
"""

import binascii
import ctypes
import json
import os
import resource
import stat
import struct
import sys

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SYS_CLOSE_RANGE = 436
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD, _SYS_LANDLOCK_RESTRICT = 444, 445, 446

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
_SIGKILL = 9
_INSTRUCTION_BYTES = 8

# linux/landlock.h, in bit order.
_ACCESS = {
    name: 1 << bit
    for bit, name in enumerate(
        "execute write_file read_file read_dir remove_dir remove_file make_char make_dir make_reg make_sock make_fifo "
        "make_block make_sym refer truncate ioctl_dev".split()
    )
}
_ACCESS_BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_FILE_ACCESS = ("execute", "write_file", "read_file", "truncate", "ioctl_dev")
_READ = ("read_file", "read_dir")
_EXECUTE = ("read_file", "read_dir", "execute")
_WRITE = (
    "read_file read_dir write_file remove_dir remove_file make_dir make_reg make_fifo make_sock make_sym refer truncate"
).split()
_DEVICE = ("read_file", "write_file", "ioctl_dev")
_BIND_AND_CONNECT_TCP = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def apply(spec):
    """Applies ``spec`` and returns what is in force, for the worker's log.

    Members, all optional: ``rlimits`` {name without RLIMIT_: number}; ``landlock`` {``minAbi``, ``read``, ``execute``,
    ``write``, ``device``: lists of paths, ``readDescriptors``: open folders}; ``filter`` {``program``: base64,
    ``selfSlots``: instruction indices that receive our process id}; ``dieWithParent``; ``adoptOrphans``; ``closeFrom``:
    first descriptor to close. Landlock binds the calling thread and those that it starts, the filter all threads.
    """
    report = {}
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for name, value in spec.get("rlimits", {}).items():
        _limit(getattr(resource, "RLIMIT_" + name), value)
    if spec.get("dieWithParent"):
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if spec.get("adoptOrphans"):
        # Whoever watches our process tree must see those, too, whose parents have gone.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if spec.get("landlock"):
        report["landlock"] = _restrict_files(spec["landlock"])
    if "closeFrom" in spec:
        _close_from(spec["closeFrom"], descriptors)
    # No other process of our uid may trace us or read our memory.
    _prctl(_PR_SET_DUMPABLE, 0)
    if spec.get("filter"):
        _load_filter(spec["filter"])
        report["filter"] = True
    return report


def in_two(spec):
    """What can be applied before frameworks are imported, and the filter, which cannot."""
    return (
        {name: value for name, value in spec.items() if name != "filter"},
        {name: value for name, value in spec.items() if name == "filter"},
    )


def landlock_abi():
    """The kernel's Landlock version; 0 where it has none or it is switched off."""
    return max(0, _LIBC.syscall(_SYS_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1)))


def _restrict_files(rules):
    abi = landlock_abi()
    if abi < rules["minAbi"]:
        raise OSError("Landlock ABI %d is needed, the kernel offers %d" % (rules["minAbi"], abi))
    handled = (1 << _ACCESS_BITS_BY_ABI[min(abi, 5)]) - 1
    network = _BIND_AND_CONNECT_TCP if abi >= 4 else 0
    scopes = _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    attributes = struct.pack("QQQ", handled, network, scopes)[:size]
    ruleset = _syscall(_SYS_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint(0))
    try:
        for kind, access in (("read", _READ), ("execute", _EXECUTE), ("write", _WRITE), ("device", _DEVICE)):
            for path in rules.get(kind, ()):
                _allow_path(ruleset, path, access, handled)
        for fd in rules.get("readDescriptors", ()):
            _allow(ruleset, fd, _READ, handled)
        _syscall(_SYS_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)
    return abi


def _allow_path(ruleset, path, access, handled):
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return  # What we cannot reach needs no rule.
    try:
        _allow(ruleset, fd, access, handled)
    finally:
        os.close(fd)


def _allow(ruleset, fd, access, handled):
    names = access if stat.S_ISDIR(os.fstat(fd).st_mode) else [name for name in access if name in _FILE_ACCESS]
    bits = sum(_ACCESS[name] for name in names) & handled
    _syscall(_SYS_LANDLOCK_ADD, ctypes.c_int(ruleset), ctypes.c_int(1), struct.pack("=Qi", bits, fd), ctypes.c_uint(0))


def _load_filter(spec):
    program = bytearray(binascii.a2b_base64(spec["program"]))
    for slot in spec["selfSlots"]:
        struct.pack_into("<I", program, slot * _INSTRUCTION_BYTES + 4, os.getpid())
    buffer = ctypes.create_string_buffer(bytes(program), len(program))
    header = struct.pack("HxxxxxxQ", len(program) // _INSTRUCTION_BYTES, ctypes.addressof(buffer))
    number = _SYS_SECCOMP[os.uname().machine]
    result = _syscall(number, ctypes.c_uint(_SECCOMP_SET_MODE_FILTER), ctypes.c_uint(_SECCOMP_FILTER_FLAG_TSYNC), header)
    if result != 0:
        raise OSError("thread %d could not take the filter" % result)


def _close_from(first, limit):
    # One call: containers allow a thousand million descriptors, and older Pythons close them one by one.
    if _LIBC.syscall(_SYS_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0)) != 0:
        os.closerange(first, limit)


def _limit(which, value):
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _prctl(option, value):
    if _LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, "prctl %d: %s" % (option, os.strerror(error)))


def _syscall(number, *arguments):
    result = _LIBC.syscall(ctypes.c_long(number), *arguments)
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, "syscall %d: %s" % (number, os.strerror(error)))
    return result


def _become(spec):
    command = spec["command"]
    if os.getuid() == 0:
        raise PermissionError("a process that is root cannot confine itself")
    apply(spec)
    os.chdir(command["cwd"])
    os.execve(command["file"], [command["file"], *command["args"]], command["env"])


if __name__ == "__main__":
    if sys.argv[1] == "abi":
        # A version manager's shim is a script that would not run in a cage: the interpreter itself is named.
        print(landlock_abi(), sys.executable)
    else:
        with open(int(sys.argv[1]), encoding="utf-8") as _source:
            _spec = json.load(_source)
        _become(_spec)

"""Attacks that a caged worker tries on its host. Each says what it got hold of, or nothing when it was stopped.

Run as a worker: ``python -I -B cage_probes.py '{"all": false, …}'``, with the second stage (or null) as a JSON line on
descriptor 3; the answer is one JSON line there before each probe, ``[id, title]``, and one after it, ``[id, title,
evidence or null]``. Every probe cleans up after itself, because at level ``none`` they succeed.
Standard library only.
"""

import ctypes
import errno
import fcntl
import importlib.util
import json
import mmap
import os
import platform
import resource
import shutil
import signal
import socket
import struct
import sys
import threading
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_X64 = platform.machine() == "x86_64"

#: id -> (title, runs at boot, function)
PROBES = {}


def probe(name, title, boot=False):
    def register(function):
        PROBES[name] = (title, boot, function)
        return function

    return register


def run(target, announce=lambda event: None):
    """Runs the probes that ``target`` asks for: ``{"all": bool, "only": [ids] or absent}``. Returns id -> [title, evidence].

    ``announce`` hears ``[id, title]`` before and ``[id, title, evidence]`` after each: a probe may cost the worker its life.
    """
    found = {}
    for name, (title, boot, function) in PROBES.items():
        if not _is_wanted(target, name, boot):
            continue
        announce([name, title])
        try:
            evidence = function(target)
        except (OSError, ValueError, MemoryError, RuntimeError):
            evidence = None
        found[name] = [title, evidence or None]
        announce([name, title, evidence or None])
    return found


def _is_wanted(target, name, boot):
    if name in target.get("except", ()):
        return False
    return name in target["only"] if target.get("only") else target.get("all") or boot


# --- files


@probe("F01", "read the accounts of the host", boot=True)
def _(_target):
    with open("/etc/passwd") as file:
        return file.readline()


@probe("F02", "read a secret file of the server", boot=True)
def _(target):
    with open(target["secretFile"]) as file:
        return file.read()


@probe("F03", "read another model", boot=True)
def _(target):
    return os.listdir(target["otherModel"])


@probe("F04", "change its own model", boot=True)
def _(target):
    return _created(os.path.join(target["model"], "davy-probe"))


@probe("F05", "change an installed program or the interpreter")
def _(_target):
    return _first(_created, ["/usr/davy-probe", "/usr/lib/davy-probe", os.path.join(sys.prefix, "davy-probe")])


@probe("F06", "create files in the root of the system", boot=True)
def _(_target):
    return _first(_created, ["%s/davy-probe" % folder for folder in ("", "/dev", "/run", "/var", "/etc", "/work", "/home")])


@probe("F07", "fill the temporary folder beyond its size")
def _(target):
    return _filled(os.environ.get("TMPDIR", "/tmp"), target)


@probe("F08", "fill shared memory beyond its size")
def _(target):
    return _filled("/dev/shm", target)


@probe("F09", "make a device node for physical memory")
def _(_target):
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "davy-node")
    os.mknod(path, 0o20600, os.makedev(1, 1))
    os.unlink(path)
    return path


@probe("F10", "open raw devices")
def _(_target):
    names = "mem kmem port kmsg vda sda nvme0n1 kvm fuse loop-control uinput".split()
    return _first(_opened, ["/dev/" + name for name in names])


@probe("F11", "use descriptors of the server", boot=True)
def _(target):
    listed = int(target.get("ignoreFd", -1))
    return [fd for fd in range(4, 1024) if fd != listed and _is_open(fd) and not _is_null(fd)]


@probe("F12", "reach the host's files through another process")
def _(target):
    for pid in (1, os.getppid(), target["serverPid"]):
        for link in ("root", "cwd"):
            try:
                if os.listdir("/proc/%d/%s" % (pid, link)):
                    return "/proc/%d/%s" % (pid, link)
            except OSError:
                pass
    return None


@probe("F13", "open files by handle, past every path check")
def _(_target):
    number = 304 if _X64 else 265
    handle = ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + b"\0" * 8)
    return _reached(number, ctypes.c_int(-100), handle, ctypes.c_int(0), refused=(errno.EPERM, errno.ENOSYS, errno.EACCES))


@probe("F14", "make a read-only mount writable")
def _(_target):
    flags = 0x1000 | 0x20  # MS_BIND | MS_REMOUNT
    return _reached(165 if _X64 else 40, None, b"/usr", None, ctypes.c_ulong(flags), None)


@probe("F15", "write kernel settings", boot=True)
def _(_target):
    knobs = ["core_pattern", "modprobe", "sysrq", "hostname"]
    return _first(_rewritten, ["/proc/sys/kernel/" + knob for knob in knobs] + ["/proc/sysrq-trigger", "/sys/kernel/uevent_helper"])


@probe("F16", "learn paths and names of the host")
def _(target):
    for path in ("/proc/self/mountinfo", "/proc/1/cmdline", "/proc/kallsyms", "/proc/self/cgroup"):
        try:
            with open(path, errors="replace") as file:
                if file.read(64):
                    return path
        except OSError:
            pass
    return None if socket.gethostname() != target["hostname"] or target["level"] == "process" else target["hostname"]


@probe("F17", "change a file of the server", boot=True)
def _(target):
    with open(target["secretFile"], "a"):
        return target["secretFile"]


@probe("F18", "leave a link in its folder for the server to follow, or code for the next start")
def _(target):
    paths = [os.path.join(target["model"], "__pycache__"), os.path.join(sys.prefix, "lib/davy-probe.pth")]
    return _first(_created, paths)


@probe("F19", "run a program that it wrote")
def _(_target):
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "davy-program")
    try:
        with open("/bin/true", "rb") as source, open(path, "wb") as program:
            program.write(source.read())
        os.chmod(path, 0o755)
        return _in_child(lambda: os.spawnv(os.P_WAIT, path, [path]) == 0 and path)
    finally:
        _remove(path)


@probe("F20", "read credentials of the machine")
def _(_target):
    home = os.path.expanduser("~root")
    names = [".ssh/id_ed25519", ".ssh/id_rsa", ".aws/credentials", ".netrc", ".docker/config.json"]
    paths = ["/etc/shadow", "/var/run/secrets/kubernetes.io/serviceaccount/token"]
    return _first(_opened, paths + [os.path.join(home, name) for name in names])


@probe("F21", "read what another worker keeps in its temporary folder")
def _(target):
    with open(os.path.join(target["otherTmp"], "request.bin")) as file:
        return file.read()


@probe("F22", "change permissions or times of a file of the server", boot=True)
def _(target):
    path = target["secretFile"]
    before = os.stat(path)
    os.chmod(path, 0o600)
    os.utime(path, (1, 1))
    after = os.stat(path)
    if (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns):
        return None
    os.chmod(path, before.st_mode & 0o7777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return path


@probe("F23", "hear when others open a file")
def _(target):
    watch = _LIBC.inotify_init1(0o2000000)
    if watch < 0:
        return None
    try:
        paths = [target["secretFile"], "/usr/lib", "/usr"]
        return [path for path in paths if _LIBC.inotify_add_watch(watch, path.encode(), 0x20) >= 0]
    finally:
        os.close(watch)


@probe("F24", "read shared memory of another process")
def _(target):
    with open(target["sharedMemory"]) as file:
        return file.read()


# --- processes


@probe("P01", "see processes of the host", boot=True)
def _(_target):
    mine = {os.getpid(), os.getppid()}
    return [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in mine][:5]


@probe("P02", "read the environment of another process", boot=True)
def _(_target):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open("/proc/%s/environ" % name, "rb") as file:
                    if file.read(1):
                        return name
            except OSError:
                pass
    return None


@probe("P03", "find the server's environment in its own", boot=True)
def _(target):
    return [name for name in target["serverEnv"] if name in os.environ]


@probe("P04", "signal the server", boot=True)
def _(target):
    os.kill(target["serverPid"], 0)
    return target["serverPid"]


@probe("P05", "trace the server", boot=True)
def _(target):
    seize, number = 0x4206, 101 if _X64 else 117
    pid = ctypes.c_long(target["serverPid"])
    # The end of the tracer sets the traced one free.
    return _in_child(lambda: _succeeded(number, ctypes.c_long(seize), pid, None, None))


@probe("P06", "read the memory of another process")
def _(target):
    return _across(310 if _X64 else 270, target["serverPid"], 8)


@probe("P07", "hold a descriptor of another process")
def _(target):
    return _succeeded(434, ctypes.c_int(target["serverPid"]), ctypes.c_uint(0))


@probe("P08", "change limits of another process")
def _(target):
    buffer = ctypes.create_string_buffer(16)
    number = 302 if _X64 else 261
    return _succeeded(number, ctypes.c_int(target["serverPid"]), ctypes.c_int(7), None, buffer)


@probe("P09", "hold capabilities, gain privileges by execve, or go unfiltered", boot=True)
def _(_target):
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    missing = []
    if _LIBC.prctl(39, 0, 0, 0, 0) != 1:
        missing.append("no_new_privs is off")
    if _LIBC.prctl(21, 0, 0, 0, 0) != 2:
        missing.append("no seccomp filter")
    if _LIBC.syscall(ctypes.c_long(125 if _X64 else 90), header, data) == 0 and any(struct.unpack("6I", data.raw)):
        missing.append("capabilities")
    return missing


@probe("P10", "become root", boot=True)
def _(_target):
    if os.getuid() == 0:
        return "is root"
    os.setuid(0)
    return "became root"


@probe("P11", "get capabilities in a new user namespace", boot=True)
def _(_target):
    return _in_child(lambda: _succeeded(272 if _X64 else 97, ctypes.c_ulong(0x10000000)))


@probe("P12", "clone into a new user namespace")
def _(_target):
    return _cloned(56 if _X64 else 220, ctypes.c_ulong(0x10000000 | signal.SIGCHLD), None, None, None, None)


@probe("P13", "clone3 into a new user namespace")
def _(_target):
    arguments = struct.pack("QQQQQQQQQQQ", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    return _cloned(435, arguments, ctypes.c_size_t(len(arguments)))


@probe("P14", "enter namespaces of another process")
def _(target):
    fd = os.open("/proc/%d/ns/net" % target["serverPid"], os.O_RDONLY)
    try:
        return _reached(308 if _X64 else 268, ctypes.c_int(fd), ctypes.c_int(0))
    finally:
        os.close(fd)


@probe("P15", "signal the process that started it, or everybody in its group")
def _(target):
    if target["level"] == "strict":
        return None  # The parent is bubblewrap, inside the cage.
    os.kill(os.getppid(), 0)
    return os.getppid()


@probe("P16", "leave the process group by which the server ends it")
def _(target):
    if target["level"] == "strict":
        return None  # The pid namespace ends with its first process, whatever group its members are in.
    return _in_child(lambda: os.setsid() or "a session of its own")


@probe("P17", "trace a child of its own, and make calls past the filter")
def _(_target):
    return _in_child(lambda: _succeeded(101 if _X64 else 117, ctypes.c_long(0), None, None, None))


@probe("P18", "read memory or descriptors of the server")
def _(target):
    folder = "/proc/%d" % target["serverPid"]
    got = [name for name in ("mem", "maps", "auxv") if _first(_read, ["%s/%s" % (folder, name)])]
    try:
        return got + os.listdir(folder + "/fd")[:1]
    except OSError:
        return got


@probe("P19", "choose where, and how soon, the server runs")
def _(target):
    pid, done = target["serverPid"], []
    for name, change in (
        ("affinity", lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0))),
        ("priority", lambda: os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))),
    ):
        try:
            change()
            done.append(name)
        except OSError:
            pass
    return done


@probe("P20", "signal the server through a descriptor that it owns")
def _(target):
    left, right = socket.socketpair()
    with left, right:
        fcntl.fcntl(left, fcntl.F_SETOWN, target["serverPid"])
        owner = fcntl.fcntl(left, fcntl.F_GETOWN)
        fcntl.fcntl(left, fcntl.F_SETOWN, 0)
    return owner


@probe("P21", "run ahead of everybody (real-time scheduling)")
def _(_target):
    return _in_child(lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)) or "real-time")


@probe("P22", "choose whom the kernel kills for want of memory")
def _(target):
    return _rewritten("/proc/%d/oom_score_adj" % target["serverPid"])


@probe("P24", "find out what other processes share (kcmp)")
def _(target):
    pid = ctypes.c_int(target["serverPid"])
    return _reached(312 if _X64 else 272, pid, pid, ctypes.c_int(1), ctypes.c_ulong(0), ctypes.c_ulong(0))


@probe("P25", "outlive the server")
def _(_target):
    before, after = ctypes.c_int(), ctypes.c_int()
    _LIBC.prctl(2, ctypes.byref(before), 0, 0, 0)
    # May seem to work: what counts is what the kernel has noted.
    _LIBC.prctl(1, 17 if before.value == 0 else 0, 0, 0, 0)
    _LIBC.prctl(2, ctypes.byref(after), 0, 0, 0)
    return "its end is called off" if after.value != before.value else None


@probe("P26", "write the memory of another process")
def _(target):
    # Not a byte: where it succeeds, the server must live on.
    return _across(311 if _X64 else 271, target["serverPid"], 0)


@probe("P27", "make a child of the server, out of everybody's sight")
def _(_target):
    result, _error = _call(56 if _X64 else 220, ctypes.c_ulong(0x8000 | signal.SIGCHLD), None, None, None, None)
    if result == 0:
        os._exit(0)
    return "child of process %d" % os.getppid() if result > 0 else None


# --- network


@probe("N01", "connect to the server on loopback", boot=True)
def _(target):
    return _connected(socket.AF_INET, ("127.0.0.1", target["port"]))


@probe("N02", "connect to another address")
def _(target):
    return _connected(socket.AF_INET, ("127.0.0.2", target["otherPort"]))


@probe("N03", "send a datagram")
def _(target):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        return channel.sendto(b"x", ("127.0.0.1", target["port"]))


@probe("N04", "connect to a unix socket by path")
def _(target):
    return _connected(socket.AF_UNIX, target["unixPath"])


@probe("N05", "connect to an abstract unix socket", boot=True)
def _(target):
    return _connected(socket.AF_UNIX, "\0" + target["abstract"])


@probe("N06", "open raw and packet sockets")
def _(_target):
    return _sockets([(socket.AF_INET, socket.SOCK_RAW, 1), (17, socket.SOCK_RAW, 0x0300), (socket.AF_INET6, socket.SOCK_RAW, 58)])


@probe("N07", "open netlink sockets", boot=True)
def _(_target):
    return _sockets([(16, socket.SOCK_RAW, protocol) for protocol in (0, 4, 9, 12, 15)])


@probe("N08", "open sockets of exotic families")
def _(_target):
    return _sockets([(family, kind, 0) for family in (40, 38, 29, 31, 30, 44, 10) for kind in (1, 2, 3, 5)])


@probe("N09", "listen on a port")
def _(_target):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return listener.getsockname()


# --- the kernel's surface: reaching it at all counts, not what it answered


@probe("K01", "mount", boot=True)
def _(_target):
    return _reached(165 if _X64 else 40, b"none", b"/davy-no-such-folder", b"tmpfs", ctypes.c_ulong(0), None)


@probe("K02", "use the new mount calls")
def _(_target):
    return _reached(430, b"davy-no-such-fs", ctypes.c_uint(0)) or _reached(428, ctypes.c_int(-100), b"/", ctypes.c_uint(1))


@probe("K03", "use kernel keyrings", boot=True)
def _(_target):
    return _reached(250 if _X64 else 219, ctypes.c_int(0), ctypes.c_int(-3), ctypes.c_int(0))


@probe("K04", "load kernel programs (bpf)", boot=True)
def _(_target):
    return _reached(321 if _X64 else 280, ctypes.c_int(99), None, ctypes.c_uint(0))


@probe("K05", "use io_uring", boot=True)
def _(_target):
    return _reached(425, ctypes.c_uint(1), ctypes.create_string_buffer(120))


@probe("K06", "use userfaultfd", boot=True)
def _(_target):
    return _reached(323 if _X64 else 282, ctypes.c_int(1))


@probe("K07", "use performance counters")
def _(_target):
    attributes = ctypes.create_string_buffer(struct.pack("IIQ", 1, 128, 1) + b"\0" * 112)
    return _reached(298 if _X64 else 241, attributes, ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(-1), ctypes.c_ulong(0))


@probe("K08", "load modules, restart the machine, switch swap or accounting")
def _(_target):
    calls = {
        "init_module": (175 if _X64 else 105, None, ctypes.c_ulong(0), None),
        "reboot": (169 if _X64 else 142, ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0), None),
        "swapon": (167 if _X64 else 224, b"/davy-no-such-file", ctypes.c_int(0)),
        "acct": (163 if _X64 else 89, b"/davy-no-such-file"),
    }
    return [name for name, arguments in calls.items() if _reached(*arguments)]


@probe("K09", "switch address randomization off")
def _(_target):
    return _in_child(lambda: _succeeded(135 if _X64 else 92, ctypes.c_ulong(0x0040000)))


@probe("K10", "type into a terminal")
def _(_target):
    return _reached(16 if _X64 else 29, ctypes.c_int(1), ctypes.c_ulong(0x5412), b"x", refused=_REFUSED + (errno.ENOTTY, errno.EIO))


@probe("K11", "call through the x32 numbers")
def _(_target):
    return _in_child(lambda: _succeeded(0x40000000 | 39)) if _X64 else None


@probe("K12", "call through the 32-bit gate")
def _(_target):
    if not _X64:
        return None
    code = mmap.mmap(-1, 4096, prot=7)
    # mov eax, 20 (getpid of i386); push rbx; int 0x80; pop rbx; ret
    code.write(b"\xb8\x14\x00\x00\x00\x53\xcd\x80\x5b\xc3")
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return _in_child(lambda: "pid by int 0x80" if function() > 0 else None)


@probe("K13", "answer its own filter with a listener")
def _(_target):
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
    header = struct.pack("HxxxxxxQ", 1, ctypes.addressof(program))
    _LIBC.prctl(38, 1, 0, 0, 0)
    return _in_child(lambda: _succeeded(317 if _X64 else 277, ctypes.c_uint(1), ctypes.c_uint(8), header))


@probe("K14", "change descriptor tables or port permissions")
def _(_target):
    return _reached(154, ctypes.c_int(0), ctypes.create_string_buffer(64), ctypes.c_ulong(64)) if _X64 else None


@probe("K15", "share memory and queues with the host")
def _(_target):
    number, remove = (29, 31) if _X64 else (194, 195)
    segment = _LIBC.syscall(ctypes.c_long(number), ctypes.c_int(0), ctypes.c_size_t(4096), ctypes.c_int(0o1600))
    if segment < 0:
        return None
    _LIBC.syscall(ctypes.c_long(remove), ctypes.c_int(segment), ctypes.c_int(0), None)
    return "shared memory segment"


@probe("K16", "attach a packet filter to its socket")
def _(_target):
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xFFFFFFFF))
    left, right = socket.socketpair()
    with left, right:
        left.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", 1, ctypes.addressof(program)))
    return "filter attached"


@probe("K17", "leave its root")
def _(_target):
    nowhere = b"/davy-no-such-folder"
    calls = {
        "chroot": (161 if _X64 else 51, nowhere),
        "pivot_root": (155 if _X64 else 41, nowhere, nowhere),
        "umount2": (166 if _X64 else 39, nowhere, ctypes.c_int(0)),
    }
    return [name for name, arguments in calls.items() if _reached(*arguments)]


@probe("K18", "make namespaces with the privileges it has")
def _(_target):
    flags = {"mount": 0x20000, "net": 0x40000000, "pid": 0x20000000, "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000}
    number = 272 if _X64 else 97
    return [name for name, flag in flags.items() if _in_child(lambda flag=flag: _succeeded(number, ctypes.c_ulong(flag)))]


@probe("K19", "read the kernel's log")
def _(_target):
    return _reached(103 if _X64 else 116, ctypes.c_int(10), None, ctypes.c_int(0))


@probe("K20", "make calls that have a history of kernel bugs")
def _(_target):
    calls = {
        "vmsplice": 278 if _X64 else 75,
        "io_setup": 206 if _X64 else 0,
        "remap_file_pages": 216 if _X64 else 234,
        "process_madvise": 440,
        "memfd_secret": 447,
        "add_key": 248 if _X64 else 217,
        "mq_open": 240 if _X64 else 180,
        "msgget": 68 if _X64 else 186,
        "semget": 64 if _X64 else 190,
        "name_to_handle_at": 303 if _X64 else 264,
        "fanotify_init": 300 if _X64 else 262,
        "move_mount": 429,
        "fsmount": 432,
        "mount_setattr": 442,
        "pidfd_getfd": 438,
        "pidfd_send_signal": 424,
        "process_mrelease": 448,
    }
    # Arguments that no kernel takes: reaching it is all that counts.
    wrong = [ctypes.c_long(-1)] * 6
    return [name for name, number in calls.items() if _reached(number, *wrong)]


@probe("K21", "give orders to file systems and drivers (ioctl)")
def _(_target):
    answer = ctypes.create_string_buffer(8)
    with open(sys.executable, "rb") as file:
        number, figetbsz = 16 if _X64 else 29, 2
        return _reached(number, ctypes.c_int(file.fileno()), ctypes.c_ulong(figetbsz), answer, refused=_REFUSED + (errno.ENOTTY,))


@probe("K22", "load a program into the kernel as a filter of its own")
def _(_target):
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
    header = struct.pack("HxxxxxxQ", 1, ctypes.addressof(program))

    def load():
        _LIBC.prctl(38, 1, 0, 0, 0)
        return "loaded" if _LIBC.prctl(22, 2, header, 0, 0) == 0 else None

    return _in_child(load)


@probe("K23", "move pages between files and pipes")
def _(_target):
    wrong = [ctypes.c_long(-1)] * 6
    calls = {"splice": 275 if _X64 else 76, "tee": 276 if _X64 else 77}
    return [name for name, number in calls.items() if _reached(number, *wrong)]


# --- resources


@probe("R01", "fork without end")
def _(target):
    reader, writer = os.pipe()
    children = []
    try:
        while len(children) <= target["tasks"]:
            pid = os.fork()
            if pid == 0:
                os.close(writer)
                os.read(reader, 1)
                os._exit(0)
            children.append(pid)
        _await_judgement(target)
        return "%d processes" % len(children)
    except OSError:
        return None
    finally:
        os.close(reader)
        os.close(writer)
        for pid in children:
            os.waitpid(pid, 0)


@probe("R02", "take memory without end")
def _(target):
    step = 16 << 20

    def hoard():
        hoarded = []
        while len(hoarded) * step < target["memoryBytes"] * 1.25:
            hoarded.append(b"\1" * step)
        return "%d bytes" % (len(hoarded) * step)

    return _in_child(hoard)


@probe("R03", "open files without end")
def _(target):
    opened = []
    try:
        while len(opened) <= target["openFiles"]:
            opened.append(os.open("/dev/null", os.O_RDONLY))
        return "%d files" % len(opened)
    except OSError:
        return None
    finally:
        for fd in opened:
            os.close(fd)


@probe("R04", "leave a core dump", boot=True)
def _(_target):
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    # One byte holds no core, and is the one limit that stops the programs of core_pattern, too.
    return None if limit == 1 else limit or "to a program of core_pattern"


@probe("R05", "start threads without end")
def _(target):
    stop = threading.Event()
    started = []
    size = threading.stack_size(64 << 10)
    try:
        while len(started) <= target["tasks"]:
            thread = threading.Thread(target=stop.wait)
            thread.start()
            started.append(thread)
        _await_judgement(target)
        return "%d threads" % len(started)
    except RuntimeError:
        return None
    finally:
        threading.stack_size(size)
        stop.set()
        for thread in started:
            thread.join()


@probe("R06", "write one file without end")
def _(target):
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "davy-large")
    try:
        with open(path, "wb") as file:
            file.truncate(target["fileBytes"] + 1)
        return path
    finally:
        _remove(path)


@probe("R07", "hide memory in a nameless file")
def _(target):
    if not hasattr(os, "memfd_create"):
        return None

    def hide():
        fd, size = os.memfd_create("davy"), 0
        while size < target["memoryBytes"] * 1.25:
            size += os.write(fd, b"\1" * (16 << 20))
        return "%d bytes" % size

    return _in_child(hide)


@probe("R08", "make files without end")
def _(target):
    if target["level"] != "none" and not target.get("watchSeconds"):
        return None  # The memory cgroup, or the size of its file system, counts them.
    folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), "davy-files-%d" % os.getpid())
    os.mkdir(folder)
    try:
        for number in range(_MANY_FILES):
            os.close(os.open("%s/%d" % (folder, number), os.O_CREAT | os.O_WRONLY))
        # Many files are counted the less often the longer that takes.
        _await_judgement(target, 4)
        return "%d files" % _MANY_FILES
    finally:
        shutil.rmtree(folder)


# --- how the probes try

#: More than any library caches, and than the watch over a worker lets pass.
_MANY_FILES = 34_000

_REFUSED = (errno.EPERM, errno.ENOSYS, errno.EACCES)


def _call(number, *arguments):
    ctypes.set_errno(0)
    result = _LIBC.syscall(ctypes.c_long(number), *arguments)
    return result, ctypes.get_errno()


def _reached(number, *arguments, refused=_REFUSED):
    """Evidence unless the call was refused outright."""
    result, error = _call(number, *arguments)
    if result >= 0:
        return "syscall %d succeeded" % number
    return None if error in refused else "syscall %d answered %s" % (number, errno.errorcode.get(error))


def _across(number, pid, size):
    """process_vm_readv or process_vm_writev between our memory and that of another process, at the same address."""
    buffer = ctypes.create_string_buffer(8)
    span = struct.pack("QQ", ctypes.addressof(buffer), size)
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    # An address that the target lacks answers EFAULT: the permission check was passed.
    return _reached(number, ctypes.c_int(pid), span, one, span, one, none, refused=_REFUSED + (errno.ESRCH,))


def _succeeded(number, *arguments):
    result, _ = _call(number, *arguments)
    return "syscall %d succeeded" % number if result >= 0 else None


def _in_child(attack):
    """Runs what would change or end this process in a child. A child that is killed got nothing."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, str(attack() or "").encode())
        except BaseException:
            pass
        os._exit(0)
    os.close(writer)
    try:
        return os.read(reader, 4096).decode()
    finally:
        os.close(reader)
        os.waitpid(pid, 0)


def _cloned(number, *arguments):
    result, _ = _call(number, *arguments)
    if result == 0:
        os._exit(0)
    if result < 0:
        return None
    os.waitpid(result, 0)
    return "child in a namespace of its own"


def _first(attack, candidates):
    for candidate in candidates:
        try:
            evidence = attack(candidate)
        except OSError:
            continue
        if evidence:
            return evidence
    return None


def _created(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    os.unlink(path)
    return path


def _read(path):
    with open(path, "rb", buffering=0) as file:
        try:
            return file.read(1) or "opened"
        except OSError:
            return "opened"


def _opened(path):
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    return path


def _rewritten(path):
    # Writes back what is there, so that success changes nothing.
    try:
        with open(path, "rb") as file:
            value = file.read()
    except OSError:
        value = b""
    with open(path, "wb", buffering=0) as file:
        if value:
            file.write(value)
    return path


def _filled(folder, target):
    path = os.path.join(folder, "davy-fill")
    written, number = 0, 0
    paths = []
    try:
        while written <= target["tmpBytes"]:
            number += 1
            paths.append("%s-%d" % (path, number))
            with open(paths[-1], "wb", buffering=0) as file:
                for _ in range(8):
                    written += file.write(b"\1" * (1 << 20))
        _await_judgement(target)
        return "%d bytes in %s" % (written, folder)
    finally:
        for each in paths:
            _remove(each)


def _await_judgement(target, times=1):
    """Where the server watches instead of the kernel, a worker that went too far is ended within this time."""
    time.sleep(target.get("watchSeconds", 0) * times)


def _remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def _is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


def _is_null(fd):
    return os.fstat(fd).st_rdev == os.makedev(1, 3)


def _connected(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as channel:
        channel.settimeout(1)
        channel.connect(address)
        return str(address)


def _sockets(kinds):
    opened = []
    for family, kind, protocol in kinds:
        try:
            socket.socket(family, kind, protocol).close()
            opened.append([family, kind, protocol])
        except OSError:
            pass
    return opened


def _second_stage():
    """Reads from descriptor 3 what a worker puts on itself before model code runs, and puts it on."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(3, 65536)
        if not part:
            sys.exit("the server said nothing")
        line += part
    stage = json.loads(line)
    if stage:
        # By path: the folder of the two files is closed to this worker.
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cage.py")
        spec = importlib.util.spec_from_file_location("cage", path)
        cage = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cage)
        cage.apply(stage)
    return stage or {}


if __name__ == "__main__":
    _target = json.loads(sys.argv[1])
    if "landlock" not in _second_stage() and _target["level"] == "strict":
        # Only Landlock can keep a program that a worker wrote from running in its own cage.
        _target["except"] = [*_target.get("except", ()), "F19"]
    run(_target, lambda event: os.write(3, json.dumps(event).encode() + b"\n"))

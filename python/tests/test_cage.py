"""The cage is one-way: each case runs in a process of its own and reports what it could still do."""

import base64
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from davy_worker import cage  # noqa: E402

PYTHON_FOLDER = str(Path(cage.__file__).resolve().parent.parent)

# BPF: load the call's number; getppid answers EPERM; kill's first argument must be the constant in slot 5.
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
_KILL_NUMBER = 62 if os.uname().machine == "x86_64" else 129


def _instruction(code, if_true, if_false, constant):
    return struct.pack("<HBBI", code, if_true, if_false, constant)


PINNED_KILL = b"".join(
    [
        _instruction(_LOAD, 0, 0, 0),
        _instruction(_EQUAL, 1, 0, _KILL_NUMBER),
        _instruction(_RETURN, 0, 0, _ALLOW),
        _instruction(_LOAD, 0, 0, 16),
        _instruction(_EQUAL, 0, 1, 0),
        _instruction(_RETURN, 0, 0, _ALLOW),
        _instruction(_RETURN, 0, 0, _EPERM),
    ]
)


def run_caged(spec, code):
    """Applies `spec` in a new process, runs `code` there, and returns what it assigned to `result`."""
    script = (
        "import json, os, sys\n"
        f"sys.path.insert(0, {PYTHON_FOLDER!r})\n"
        "from davy_worker import cage\n"
        f"report = cage.apply(json.loads({json.dumps(spec)!r}))\n"
        f"{code}\n"
        "print(json.dumps(result))\n"
    )
    # Root would need another uid for Landlock alone to stop it from anything; the level refuses root, so do these tests.
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


TRY = (
    "def attempt(action):\n"
    "    try:\n"
    "        action()\n"
    "        return 'done'\n"
    "    except OSError as error:\n"
    "        return type(error).__name__\n"
)


class Stages(unittest.TestCase):
    def test_put_the_filter_last_and_everything_else_first(self):
        first, last = cage.in_two({"landlock": 1, "filter": 2, "rlimits": 3})
        self.assertEqual((first, last), ({"landlock": 1, "rlimits": 3}, {"filter": 2}))

    def test_bind_threads_that_frameworks_start(self):
        # What a thread may do is decided when it is started: numpy and torch start theirs while they are imported.
        code = (
            "import threading\n"
            "cage.apply({'landlock': {'minAbi': 4, 'execute': ['/usr']}})\n"
            "found = []\n"
            "def look():\n"
            "    try: found.append(os.listdir('/etc') and 'read')\n"
            "    except OSError as error: found.append(type(error).__name__)\n"
            "thread = threading.Thread(target=look); thread.start(); thread.join()\n"
            "result = found"
        )
        self.assertEqual(run_caged({}, code), ["PermissionError"])


class Limits(unittest.TestCase):
    def test_are_set_and_never_raised(self):
        spec = {"rlimits": {"NOFILE": 64}}
        again = "cage.apply({'rlimits': {'NOFILE': 4096}})\nimport resource\nresult = resource.getrlimit(resource.RLIMIT_NOFILE)"
        self.assertEqual(run_caged(spec, again), [64, 64])

    def test_unknown_names_are_refused(self):
        with self.assertRaises(AssertionError):
            run_caged({"rlimits": {"NO_SUCH": 1}}, "result = None")


class Filter(unittest.TestCase):
    def test_receives_the_process_id_in_its_slots(self):
        spec = {"filter": {"program": base64.b64encode(PINNED_KILL).decode(), "selfSlots": [4]}}
        code = TRY + "result = [attempt(lambda: os.kill(os.getpid(), 0)), attempt(lambda: os.kill(os.getppid(), 0))]"
        self.assertEqual(run_caged(spec, code), ["done", "PermissionError"])

    def test_that_is_not_a_program_is_refused(self):
        with self.assertRaises(AssertionError):
            run_caged({"filter": {"program": base64.b64encode(b"x" * 8).decode(), "selfSlots": []}}, "result = None")


@unittest.skipIf(cage.landlock_abi() < 4, "this kernel's Landlock is too old")
class Landlock(unittest.TestCase):
    def test_leaves_only_what_is_listed(self):
        with tempfile.TemporaryDirectory() as mine, tempfile.TemporaryDirectory() as other:
            for folder in (mine, other):
                Path(folder, "file").write_text("x", encoding="utf-8")
            spec = {"landlock": {"minAbi": 4, "read": [mine, "/no/such/folder"], "write": []}}
            code = TRY + (
                f"result = [attempt(lambda: open({mine!r} + '/file')), attempt(lambda: open({other!r} + '/file')),\n"
                f"    attempt(lambda: open({mine!r} + '/new', 'w')), attempt(lambda: os.listdir('/etc'))]"
            )
            self.assertEqual(run_caged(spec, code), ["done", "PermissionError", "PermissionError", "PermissionError"])

    def test_leaves_an_open_folder_readable_whatever_its_name_means_by_then(self):
        with tempfile.TemporaryDirectory() as home:
            for name in ("model", "decoy"):
                os.mkdir(os.path.join(home, name))
                Path(home, name, "file").write_text(name, encoding="utf-8")
            model, decoy, moved = (os.path.join(home, name) for name in ("model", "decoy", "moved"))
            code = (
                f"fd = os.open({model!r}, os.O_RDONLY)\n"
                f"os.rename({model!r}, {moved!r}); os.symlink({decoy!r}, {model!r})\n"
                "cage.apply({'landlock': {'minAbi': 4, 'readDescriptors': [fd]}})\n"
                + TRY
                + f"result = [attempt(lambda: open({model!r} + '/file')), attempt(lambda: open({moved!r} + '/file'))]"
            )
            self.assertEqual(run_caged({}, code), ["PermissionError", "done"])

    def test_lets_nothing_run_from_where_it_may_write(self):
        with tempfile.TemporaryDirectory() as mine:
            program = os.path.join(mine, "program")
            Path(program).write_bytes(Path("/bin/true").read_bytes())
            os.chmod(program, 0o755)
            spec = {"landlock": {"minAbi": 4, "read": ["/"], "execute": ["/usr", "/lib", "/lib64", "/bin"], "write": [mine]}}
            code = TRY + f"result = [attempt(lambda: os.execv({program!r}, ['x'])), attempt(lambda: open({mine!r} + '/y', 'w'))]"
            self.assertEqual(run_caged(spec, code), ["PermissionError", "done"])

    def test_refuses_tcp(self):
        code = TRY + "import socket\nresult = attempt(lambda: socket.create_connection(('127.0.0.1', 9)))"
        spec = {"landlock": {"minAbi": 4, "execute": ["/"], "write": []}}
        self.assertEqual(run_caged(spec, code), "PermissionError")

    def test_older_than_wanted_is_refused(self):
        with self.assertRaises(AssertionError):
            run_caged({"landlock": {"minAbi": 99}}, "result = None")


if __name__ == "__main__":
    unittest.main()

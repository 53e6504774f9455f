"""A handler that attacks the machine it runs on: every request names one attack, the answer is what it got hold of."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cage_probes  # noqa: E402 - the archive brings its own copy of the attacks


def handle(data, context):
    return [_attack(row) for row in data] if data else None


def _attack(row):
    target = row.get("body") or row.get("data")
    if isinstance(target, (bytes, bytearray)):
        target = json.loads(target)
    if "orphan" in target:
        return _leave_orphan()
    if "link" in target:
        os.symlink(target["link"], os.path.join(os.environ["TMPDIR"], "link"))
        return "left"
    if "hide" in target:
        return _hide_files()
    target["model"] = os.path.dirname(os.path.abspath(__file__))
    return json.dumps(cage_probes.run(target))


def _hide_files():
    """Folders that nobody may list, and one so deep that no path names it. Says where they are."""
    home = os.environ["TMPDIR"]
    os.mkdir(os.path.join(home, "hidden"), 0o300)
    with open(os.path.join(home, "hidden", "content"), "w") as file:
        file.write("hidden")
    os.chdir(home)
    for _ in range(100):
        os.mkdir("x" * 200)
        os.chdir("x" * 200)
    os.chdir("/")
    return home


def _leave_orphan():
    """A grandchild that outlives the worker if it can. It keeps the frame socket open, by which it is noticed."""
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            pass
        if os.fork() == 0:
            while True:
                os.read(os.pipe()[0], 1)
        os._exit(0)
    os.wait()
    return "left"

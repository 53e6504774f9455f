"""Plays the server for one worker process over a socket pair."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
from typing import Any

PYTHON_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
START = [sys.executable, "-I", "-B", os.path.join(PYTHON_ROOT, "davy_worker", "__main__.py")]
# A worker with torch needs seconds on a busy machine; a hang must still end the suite.
TIMEOUT_SECONDS = 60

if PYTHON_ROOT not in sys.path:
    sys.path.insert(0, PYTHON_ROOT)


class Worker:
    """A real worker process with files in its model directory. Use as a context manager."""

    def __init__(self, files: dict[str, str | bytes], environment: dict[str, str] | None = None) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.dir = self.directory.name
        for name, content in files.items():
            path = os.path.join(self.dir, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        self._next = 0
        self.sock, inner = socket.socketpair()
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            START,
            cwd=self.dir,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", **(environment or {})},
            preexec_fn=lambda: os.dup2(inner.fileno(), 3),
            pass_fds=(3,),
        )
        inner.close()
        self.hello = self.receive()[0]

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.sock.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.directory.cleanup()

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        text = json.dumps(header).encode()
        self.sock.sendall(struct.pack(">II", len(text), len(body)) + text + body)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        header_size, body_size = struct.unpack(">II", self._exactly(8))
        return json.loads(self._exactly(header_size)), self._exactly(body_size)

    def load(self, handler: str | None, **members: Any) -> dict[str, Any]:
        """Loads the model; the answer's header."""
        model = {
            "name": "m",
            "version": "1.0",
            "dir": self.dir,
            "handler": handler,
            "manifest": None,
            "config": {},
            "gpuId": None,
            "batchSize": 4,
            "envelope": None,
            "limitMaxImagePixels": True,
            "decodeInputRequest": True,
            "threads": 1,
            "sequenceHeaders": {},
            "continuousBatching": False,
            "asyncCommunication": False,
            "metrics": None,
            "cage": None,
            **members,
        }
        self.send({"t": "load", "model": model})
        return self.receive()[0]

    def post(self, *requests: Any, op: str = "predict") -> int:
        """Sends a batch; each request is bytes (one part `body`) or a dict of `h`, `p`, `k`, `s`.

        `p` holds (name, content type, bytes). The batch id.
        """
        self._next += 1
        entries, body = [], b""
        for index, request in enumerate(requests):
            if isinstance(request, (bytes, str)):
                request = {"p": [("body", None, request)]}
            parts = []
            for name, kind, value in request.get("p", []):
                value = value.encode() if isinstance(value, str) else value
                parts.append([name, kind, len(value)])
                body += value
            entry = {"id": f"r{index}", "h": [], **request, "p": parts}
            entries.append(entry)
        self.send({"t": "run", "b": self._next, "op": op, "r": entries}, body)
        return self._next

    def run(self, *requests: Any, op: str = "predict") -> "Outcome":
        """Runs a batch to its end."""
        self.post(*requests, op=op)
        outcome = Outcome()
        while True:
            header, body = self.receive()
            if header["t"] == "metric":
                outcome.metrics += header["m"]
            elif header["t"] == "item":
                outcome.pieces.append((header, body))
            else:
                outcome.finish(header, body)
                return outcome

    def logged(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def ended(self) -> int:
        """Waits for the process to exit by itself; its status."""
        return self.process.wait(TIMEOUT_SECONDS)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise EOFError(f"worker closed the socket; its log:\n{self.logged()}")
            data += piece
        return bytes(data)


class Outcome:
    """What came back for one batch."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, Any]] = []
        self.pieces: list[tuple[dict[str, Any], bytes]] = []
        self.results: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.fault: tuple[int, str] | None = None

    def finish(self, header: dict[str, Any], body: bytes) -> None:
        if header["t"] == "fault":
            self.fault = (header["code"], header["message"])
            return
        self.results = header["r"]
        for result in self.results:
            self.bodies.append(body[: result["n"]])
            body = body[result["n"] :]
        assert not body, "bodies are longer than the results say"

    @property
    def json(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]

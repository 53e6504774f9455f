"""Prints the worker's own CPU microseconds for each request, with this script playing the server.

    python python/bench/worker_cost.py [requests]
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))
from harness import Worker

HANDLERS = {
    "noop.py": "def handle(data, context):\n    return None if data is None else [b'OK'] * len(data)\n",
    "echo.py": "def handle(data, context):\n    return None if data is None else [row['body'] for row in data]\n",
    "header.py": "def handle(data, context):\n    if data is None: return\n"
    "    context.set_response_content_type(0, 'text/plain')\n"
    "    return [context.get_request_header(0, 'Host') or ''] * len(data)\n",
}
HEADERS = [
    ["Host", "127.0.0.1:8080"],
    ["Authorization", "Bearer 0123456789abcdef"],
    ["Content-Type", "application/json"],
    ["Content-Length", "64"],
    ["explain", "False"],
    ["url_path", ""],
]


# The default metrics.yaml has it: one metric frame ahead of every answer.
PREDICTION_TIME = {"gauge": [{"name": "PredictionTime", "unit": "ms", "dimensions": ["ModelName", "Level", "Hostname"]}]}


def measure(handler: str, size: int, count: int, in_flight: int = 2, metrics: object = None) -> float:
    """CPU microseconds of the worker process for each single-request batch."""
    with Worker(HANDLERS) as worker:
        assert worker.load(handler, metrics=metrics)["t"] == "loaded"
        body = b"x" * size
        frames = []
        for batch in (1, 2):
            header = json.dumps(
                {
                    "t": "run",
                    "b": batch,
                    "op": "predict",
                    "r": [{"id": "8c1f9dd2-6a3a-4cf5-9d5c-0c8f6a1d3d6e", "h": HEADERS, "p": [["body", None, size]]}],
                }
            ).encode()
            frames.append(struct.pack(">II", len(header), size) + header + body)
        cpu = f"/proc/{worker.process.pid}/schedstat"
        sock = worker.sock
        sock.settimeout(None)

        def answer() -> None:
            while worker.receive()[0]["t"] != "done":
                pass

        def turn(rounds: int) -> None:
            for index in range(in_flight):
                sock.sendall(frames[index % 2])
            for index in range(rounds):
                answer()
                sock.sendall(frames[index % 2])
            for _ in range(in_flight):
                answer()

        turn(count // 10)
        with open(cpu) as file:
            before = int(file.read().split()[0])
        turn(count)
        with open(cpu) as file:
            after = int(file.read().split()[0])
    return (after - before) / 1000 / (count + in_flight)


if __name__ == "__main__":
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    began = time.perf_counter()
    print(f"noop            {measure('noop.py', 64, total):8.1f} us")
    print(f"noop, metric    {measure('noop.py', 64, total, metrics=PREDICTION_TIME):8.1f} us")
    print(f"header          {measure('header.py', 64, total):8.1f} us")
    print(f"echo 1 KB       {measure('echo.py', 1000, total):8.1f} us")
    print(f"echo 600 KB     {measure('echo.py', 600_000, total // 40, 1):8.1f} us")
    print(f"({time.perf_counter() - began:.1f} s)")

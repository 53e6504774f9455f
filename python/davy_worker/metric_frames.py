"""Collects the metrics of a batch and sends them with its answer (docs/worker-protocol.md, `metric`)."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

# A handler that emits in a loop must not make the worker hoard.
MAX_WAITING = 1000


class MetricOutbox:
    """Metrics waiting for the next frame, each as JSON text. Handler threads may add."""

    __slots__ = ("_waiting", "_writer")

    def __init__(self, writer: Any) -> None:
        self._waiting: deque[str] = deque()
        self._writer = writer

    def add(self, record: dict[str, Any]) -> None:
        """Queues one record of a `metric` frame."""
        self.add_text(json.dumps(record))

    def add_text(self, record: str) -> None:
        """The same, already encoded."""
        self._waiting.append(record)
        if len(self._waiting) >= MAX_WAITING:
            self.flush()

    def take(self) -> str | None:
        """The header of a metric frame for all that waits; None when nothing does."""
        waiting = self._waiting
        if not waiting:
            return None
        # Threads may add meanwhile: what is taken now is counted now.
        records = ",".join([waiting.popleft() for _ in range(len(waiting))])
        return f'{{"t":"metric","m":[{records}]}}'

    def flush(self) -> None:
        """Sends what waits in a frame of its own."""
        header = self.take()
        if header is not None:
            self._writer.send(header)

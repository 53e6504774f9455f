"""What every envelope does: parse, call the handler, format (surface spec 9.9)."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, Callable


class BaseEnvelope(ABC):
    """Wraps a handler's entry point. Called with no data at load it passes through."""

    def __init__(self, handle_fn: Callable[[Any, Any], Any]) -> None:
        self._handle_fn = handle_fn
        self.context: Any = None

    def handle(self, data: Any, context: Any) -> Any:
        self.context = context
        if data is None:
            return self._handle_fn(None, context)
        results = self._handle_fn(self.parse_input(data), context)
        # Anything but a list is the handler's mistake, and reported as such by the worker.
        return self.format_output(results) if isinstance(results, list) else results

    @abstractmethod
    def parse_input(self, data: list[Any]) -> list[Any]:
        """The rows as the handler wants them."""

    @abstractmethod
    def format_output(self, data: list[Any]) -> list[Any]:
        """One item for each request."""


def body_of(row: Any) -> Any:
    """What a request carries under `data` or `body`, or the whole row."""
    if not isinstance(row, dict):
        return row
    for key in ("data", "body"):
        if row.get(key) is not None:
            return row[key]
    return row


def json_body_of(row: Any) -> dict[str, Any]:
    """The same as a JSON object, decoded if the request did not say that it is JSON."""
    body = body_of(row)
    if isinstance(body, (bytes, bytearray, str)):
        body = json.loads(body)
    if not isinstance(body, dict):
        raise ValueError("the request body is not a JSON object")
    return body

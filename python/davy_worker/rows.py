"""Turns the requests of a run frame into the rows a handler receives (surface spec 2.4)."""

from __future__ import annotations

import json
import logging
from typing import Any

from davy_worker.frames import FrameReader, ProtocolError

logger = logging.getLogger(__name__)


def read_rows(
    requests: list[dict[str, Any]], reader: FrameReader, body_size: int, decode: bool
) -> list[dict[str, Any]]:
    """Takes the body of a run frame apart: one dict for each request, part name to value.

    A duplicate name keeps its last value. A continuous-batching job that comes round again has no parts.
    """
    rows = []
    left = body_size
    take = reader.take
    for request in requests:
        row = {}
        for name, kind, size in request["p"]:
            # A size that does not fit would misalign every later part and frame.
            if size.__class__ is not int or not 0 <= size <= left:
                raise ProtocolError("part sizes do not fit the body")
            left -= size
            value = take(size)
            row[name] = _decode(value, kind) if decode and kind else value
        rows.append(row)
    if left:
        raise ProtocolError(f"{left} bytes of the body belong to no part")
    return rows


def _decode(value: bytearray, kind: str) -> Any:
    if kind == "application/json":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            logger.warning("Failed json decoding of input data. Forwarding encoded payload")
            return value
    if kind.startswith("text"):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            logger.warning("Failed utf-8 decoding of input data. Forwarding encoded payload")
    return value

"""Envelope `json`: `{"instances": [...]}` in, `{"predictions": [...]}` out (surface spec 9.9)."""

from __future__ import annotations

import base64
import json
from itertools import islice
from typing import Any

from ts.torch_handler.request_envelope.base import BaseEnvelope, json_body_of


class JSONEnvelope(BaseEnvelope):
    """The instances of all requests form one batch, and are given back to the requests they came from."""

    # Set while a batch is parsed, read when it is formatted.
    _lengths: list[int] = []

    def parse_input(self, data: list[Any]) -> list[Any]:
        instances = [_instances(row) for row in data]
        self._lengths = [len(rows) for rows in instances]
        return [_decoded(instance) for rows in instances for instance in rows]

    def format_output(self, data: list[Any]) -> list[Any]:
        if len(data) != sum(self._lengths):
            # Left as it is, the worker reports the mismatch.
            return data if len(data) != len(self._lengths) else []
        items = iter(data)
        return [json.dumps({"predictions": list(islice(items, length))}) for length in self._lengths]


def _instances(row: Any) -> list[Any]:
    instances = json_body_of(row).get("instances")
    if not isinstance(instances, list):
        raise ValueError('the request body has no "instances" list')
    return instances


def _decoded(instance: Any) -> Any:
    """`{"b64": "..."}`, as a whole instance or as a column of one, is bytes."""
    if not isinstance(instance, dict):
        return instance
    if "b64" in instance:
        return base64.b64decode(instance["b64"])
    return {
        key: base64.b64decode(value["b64"]) if isinstance(value, dict) and "b64" in value else value
        for key, value in instance.items()
    }

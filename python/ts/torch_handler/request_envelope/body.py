"""Envelope `body`: the handler gets each request's body itself (surface spec 9.9)."""

from __future__ import annotations

from typing import Any

from ts.torch_handler.request_envelope.base import BaseEnvelope, body_of


class BodyEnvelope(BaseEnvelope):
    def parse_input(self, data: list[Any]) -> list[Any]:
        return [body_of(row) for row in data]

    def format_output(self, data: list[Any]) -> list[Any]:
        return data

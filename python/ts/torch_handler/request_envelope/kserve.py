"""Envelope `kserve`: KServe protocol v1, one request at a time (surface spec 9.9)."""

from __future__ import annotations

from typing import Any

from ts.torch_handler.request_envelope.base import BaseEnvelope, json_body_of


class KserveEnvelope(BaseEnvelope):
    def parse_input(self, data: list[Any]) -> list[Any]:
        instances = json_body_of(data[0]).get("instances")
        if not isinstance(instances, list):
            raise ValueError('the request body has no "instances" list')
        return instances

    def format_output(self, data: list[Any]) -> list[Any]:
        explain = self.context.get_request_header(0, "explain") == "True"
        return [{"explanations" if explain else "predictions": data}]

"""The object a handler gets beside its data (surface spec 9.5).

It lives as long as the worker, so handlers may attach what they like to it. What belongs to one batch is
put in by `begin` and read lazily: a handler that asks for no header pays for no header.
"""

from __future__ import annotations

import copy
from typing import Any, Callable, Sequence


class RequestProcessor:
    """One request of the batch: its headers, and the status and headers of its response."""

    __slots__ = ("_status_code", "_reason_phrase", "_response_header", "_request_header", "_streaming")

    def __init__(self, request_header: dict[Any, Any]) -> None:
        self._request_header = request_header
        self._response_header: dict[str, str] | None = None
        self._status_code: int | None = None
        self._reason_phrase: str | None = None
        # A first piece of a streamed answer has left.
        self._streaming = False

    def get_request_property(self, key: str) -> Any:
        return self._request_header.get(key)

    def get_request_properties(self) -> dict[Any, Any]:
        return self._request_header

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        self._status_code = code
        self._reason_phrase = reason_phrase

    def get_response_status_code(self) -> int:
        return 200 if self._status_code is None else self._status_code

    def get_response_status_phrase(self) -> str | None:
        return self._reason_phrase

    def add_response_property(self, key: str, value: str) -> None:
        """Sets a response header; one value for each name."""
        if self._response_header is None:
            self._response_header = {}
        self._response_header[key] = value

    def get_response_headers(self) -> dict[str, str]:
        if self._response_header is None:
            self._response_header = {}
        return self._response_header

    def get_response_header(self, key: str) -> str | None:
        return None if self._response_header is None else self._response_header.get(key)


class Context:
    """What a handler may know and say about its model and the batch in hand."""

    def __init__(
        self,
        model_name: str | None = None,
        model_dir: str | None = None,
        manifest: dict[str, Any] | None = None,
        batch_size: int | None = None,
        gpu: int | None = None,
        mms_version: str | None = None,
        limit_max_image_pixels: bool = True,
        metrics: Any = None,
        model_yaml_config: dict[str, Any] | None = None,
    ) -> None:
        self.model_name = model_name
        self.manifest = manifest
        self._system_properties = {
            "model_dir": model_dir,
            "gpu_id": gpu,
            "batch_size": batch_size,
            "server_name": "MMS",
            "server_version": mms_version,
            "limit_max_image_pixels": limit_max_image_pixels,
        }
        self.model_yaml_config = model_yaml_config if model_yaml_config is not None else {}
        self._metrics = metrics
        self.stopping_criteria: Sequence[Callable[[Any], bool | None]] | None = None
        self.header_key_sequence_id = "ts_request_sequence_id"
        self.header_key_sequence_start = "ts_request_sequence_start"
        self.header_key_sequence_end = "ts_request_sequence_end"
        # No handler talks to the server's socket; the streaming helper goes through the worker.
        self.cl_socket = None
        self._reply: Any = None
        self._operation: str | None = None
        self._requests: list[dict[str, Any]] | None = None
        self._request_ids: dict[int, str] | None = None
        self._processors: list[RequestProcessor] | None = None

    def begin(self, requests: list[dict[str, Any]], operation: str, reply: Any) -> None:
        """Turns to a new batch. `requests` is the `r` of a run frame, `reply` sends intermediate pieces."""
        self._requests = requests
        self._operation = operation
        self._reply = reply
        self._request_ids = None
        self._processors = None

    def fork(self) -> "Context":
        """A context for a batch that runs beside others; attributes a handler attached are shared."""
        return copy.copy(self)

    @property
    def system_properties(self) -> dict[str, Any]:
        return self._system_properties

    @property
    def metrics(self) -> Any:
        return self._metrics

    @metrics.setter
    def metrics(self, metrics: Any) -> None:
        self._metrics = metrics

    @property
    def operation(self) -> str | None:
        """`predict`, `explain` or `describe`, as the route decided; None outside a server."""
        return self._operation

    @property
    def request_ids(self) -> dict[int, str] | None:
        if self._request_ids is None and self._requests is not None:
            self._request_ids = {index: request["id"] for index, request in enumerate(self._requests)}
        return self._request_ids

    @request_ids.setter
    def request_ids(self, request_ids: dict[int, str]) -> None:
        self._request_ids = request_ids

    @property
    def request_processor(self) -> list[RequestProcessor] | None:
        if self._processors is None and self._requests is not None:
            self._processors = [
                RequestProcessor(_headers(request, self._operation)) for request in self._requests
            ]
        return self._processors

    @request_processor.setter
    def request_processor(self, processors: list[RequestProcessor]) -> None:
        self._processors = processors

    def get_request_id(self, idx: int = 0) -> str | None:
        ids = self.request_ids
        return None if ids is None else ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> Any:
        """The value of a request header, spelled as the client spelled it; None when absent."""
        processor = self._processor(idx)
        return None if processor is None else processor.get_request_property(key)

    def get_all_request_header(self, idx: int) -> dict[Any, Any]:
        processor = self._processor(idx)
        return {} if processor is None else processor.get_request_properties()

    def get_response_content_type(self, idx: int) -> str | None:
        return self.get_response_headers(idx).get("content-type")

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.set_response_header(idx, "content-type", value)

    def get_response_headers(self, idx: int) -> dict[str, str]:
        processor = self._processor(idx)
        return {} if processor is None else processor.get_response_headers()

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        processor = self._processor(idx)
        if processor is not None:
            processor.add_response_property(key, value)

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        processor = self._processor(idx)
        if processor is not None:
            processor.report_status(code, phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        for processor in self.request_processor or ():
            processor.report_status(code, phrase)

    def get_response_status(self, idx: int) -> tuple[int, str | None] | None:
        processor = self._processor(idx)
        if processor is None:
            return None
        return processor.get_response_status_code(), processor.get_response_status_phrase()

    def get_sequence_id(self, idx: int) -> str | None:
        """The id of the sequence this request belongs to (surface spec 2.8), "" without one."""
        value = self.get_request_header(idx, self.header_key_sequence_id)
        if value is None and self._requests is not None:
            value = self._requests[idx].get("s")
        return "" if value is None else value

    def _processor(self, idx: int) -> RequestProcessor | None:
        processors = self.request_processor
        return None if processors is None else processors[idx]


def _headers(request: dict[str, Any], operation: str | None) -> dict[Any, Any]:
    """The flat map of surface spec 2.5: one entry for each body part first, then the headers."""
    headers: dict[Any, Any] = {name: {"content-type": kind or ""} for name, kind, _ in request["p"]}
    for name, value in request["h"]:
        headers[name] = value
    # The route picks the operation; a client's header of that name must not (RES-03).
    if operation != "describe":
        headers.pop("describe", None)
    if operation != "explain" and headers.get("explain") == "True":
        del headers["explain"]
    return headers

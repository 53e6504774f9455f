"""Streaming and import helpers for handlers (surface spec 9.6)."""

from __future__ import annotations

import importlib
import os
from typing import Any

from ts.utils.util import list_classes_from_module


def send_intermediate_predict_response(
    ret: Any, req_id_map: dict[int, str], message: str, code: int, context: Any = None
) -> None:
    """Sends one more piece of every request's streamed answer; the value `handle` returns is the last piece.

    `ret` is a list or dict indexed like the batch. `message` and `code` are accepted as TorchServe has them.
    Only rank 0 of a group sends.
    """
    if int(os.getenv("LOCAL_RANK", "0")) != 0:
        return None
    reply = getattr(context, "_reply", None)
    if reply is None:
        raise RuntimeError("intermediate responses can be sent only while a batch is being handled")
    for index in req_id_map:
        context.set_response_header(index, "ts_stream_next", "true")
        context.request_processor[index]._streaming = True
    reply.send_pieces(ret, req_id_map, context)
    return None


def import_class(class_name: str, module_prefix: str | None = None) -> type:
    """The class `package.module.Class`, `Class` of the module `module_prefix`, or the only class of a module of that name."""
    full_name = f"{module_prefix}.{class_name}" if module_prefix else class_name
    module_name, _, name = full_name.rpartition(".")
    if module_name:
        found = getattr(importlib.import_module(module_name), name, None)
        if isinstance(found, type):
            return found
    classes = list_classes_from_module(importlib.import_module(full_name))
    if len(classes) != 1:
        raise ValueError(f"Expected exactly one class in {class_name}, found {classes}")
    return classes[0]

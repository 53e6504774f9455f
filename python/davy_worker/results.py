"""Turns what a handler returned into reply frames (surface spec 2.6, docs/worker-protocol.md, "A result").

Headers are written by hand: for the usual answer that is several times cheaper than a JSON encoder.
"""

from __future__ import annotations

import io
import json
import sys
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from ts.context import RequestProcessor
from ts.utils.util import PredictionException


# The server keeps no more of a message.
MAX_MESSAGE_CHARACTERS = 4096


class Unserialisable(Exception):
    """The handler returned something that is neither bytes, text, a tensor nor JSON."""


def encode_results(
    values: list[Any], processors: list[RequestProcessor] | None, more: list[bool] | None
) -> tuple[str, list[Any]]:
    """The JSON list of results and their bodies. `more` marks the jobs that stay for the next step."""
    bodies = []
    texts = []
    for index, value in enumerate(values):
        if isinstance(value, PredictionException):
            code, message = refusal_of(value)
            texts.append(f'{{"n":0,"e":[{code},{quote(message)}]}}')
            continue
        body = encode_body(value)
        bodies.append(body)
        extra = "" if processors is None else _described(processors[index])
        if more is not None and more[index]:
            extra += ',"more":true'
        texts.append(f'{{"n":{len(body)}{extra}}}')
    return f"[{','.join(texts)}]", bodies


def encode_piece(
    batch: int, index: int, value: Any, processor: RequestProcessor | None
) -> tuple[str, list[Any]]:
    """The header and body of one intermediate piece of a streamed answer."""
    body = encode_body(value)
    extra = "" if processor is None else _described(processor)
    return f'{{"t":"item","b":{batch},"i":{index},"n":{len(body)}{extra},"more":true}}', [body]


def encode_body(value: Any) -> Any:
    """The bytes of one answer; bytes and bytearrays are passed on, never copied."""
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return value
    if kind is str:
        return value.encode("utf-8", "replace")
    if isinstance(value, (bytes, bytearray)):
        return value
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue()
    try:
        return json.dumps(value, indent=2).encode("utf-8")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Unserialisable(str(error)) from error


def refusal_of(error: PredictionException) -> tuple[int, str]:
    """Status and message a handler chose (surface spec 9.7); a status HTTP cannot carry becomes 500."""
    code = error.error_code
    valid = isinstance(code, int) and not isinstance(code, bool) and 200 <= code <= 999
    return (int(code) if valid else 500), str(error.message)[:MAX_MESSAGE_CHARACTERS]


def _described(processor: RequestProcessor) -> str:
    """The `st`, `ct` and `h` members, as far as the handler set them."""
    text = ""
    code = processor._status_code
    if code is not None:
        if not 200 <= int(code) <= 999:
            raise ValueError(f"response status {code} is not one that ends a request")
        text = f',"st":[{int(code)},{quote(str(processor._reason_phrase or ""))}]'
    headers = processor._response_header
    if headers:
        pairs = []
        for name, value in headers.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise Unserialisable(f"response header {name!r} must be text, not {type(value).__name__}")
            if name.lower() == "content-type":
                text += f',"ct":{quote(value)}'
            else:
                pairs.append(f"[{quote(name)},{quote(value)}]")
        if pairs:
            text += f',"h":[{",".join(pairs)}]'
    return text

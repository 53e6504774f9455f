"""One loaded model: runs batches and maps what the handler raises to answers (surface spec 9.7)."""

from __future__ import annotations

import inspect
import time
import traceback
from typing import Any, NamedTuple

from davy_worker.entry_point import Handle
from davy_worker.hints import hint_for
from davy_worker.prediction_time import PredictionTime
from davy_worker.ration import Ration
from davy_worker.results import Unserialisable, encode_results, refusal_of
from ts.context import Context
from ts.utils.util import PredictionException

OUT_OF_RESOURCES = (507, "Out of resources")
PREDICTION_FAILED = (503, "Prediction failed")
NOT_A_LIST = (503, "Invalid model predict output")
WRONG_COUNT = (503, "number of batch response mismatched")
UNSUPPORTED_OUTPUT = (503, "Unsupported model output data type.")


class Refusal(NamedTuple):
    """A whole batch failed."""

    code: int
    message: str


class Answers(NamedTuple):
    """The JSON list of results and the bodies that follow it."""

    results: str
    bodies: list[Any]


class Service:
    """A handler with its context and the wishes of the server."""

    __slots__ = ("handle", "context", "decode", "prediction_time", "_arrivals")

    def __init__(self, handle: Handle, context: Context, decode: bool, prediction_time: PredictionTime | None) -> None:
        self.handle = handle
        self.context = context
        self.decode = decode
        # The configured PredictionTime metric (surface spec 4.4), or None when nobody wants it.
        self.prediction_time = prediction_time
        self._arrivals = Ration()

    def predict(self, rows: list[dict[str, Any]], context: Context) -> Answers | Refusal:
        """Runs one batch. Never raises an `Exception`."""
        self._tell_arrival()
        started = time.perf_counter()
        try:
            values = self.handle(rows, context)
        except Exception as error:
            return refuse(error)
        return self._answer(values, len(rows), context, started)

    async def predict_async(self, rows: list[dict[str, Any]], context: Context) -> Answers | Refusal:
        """The same for a handler whose `handle` is a coroutine."""
        self._tell_arrival()
        started = time.perf_counter()
        try:
            values = self.handle(rows, context)
            if inspect.isawaitable(values):
                values = await values
        except Exception as error:
            return refuse(error)
        return self._answer(values, len(rows), context, started)

    def _tell_arrival(self) -> None:
        """A line that scripts count batches by (surface spec 11)."""
        if self._arrivals.take():
            print(f"Backend received inference at: {int(time.time())}", flush=True)

    def _answer(self, values: Any, count: int, context: Context, started: float) -> Answers | Refusal:
        if not isinstance(values, list):
            return Refusal(*NOT_A_LIST)
        if len(values) != count:
            return Refusal(*WRONG_COUNT)
        try:
            more = None if context.stopping_criteria is None else _unfinished(values, context)
            processors = context._processors
            if processors is not None:
                _close_streams(processors)
            answers = Answers(*encode_results(values, processors, more))
        except Unserialisable as error:
            print(f"Unsupported model output data type: {error}", flush=True)
            return Refusal(*UNSUPPORTED_OUTPUT)
        except Exception as error:
            return refuse(error)
        if self.prediction_time is not None:
            self.prediction_time((time.perf_counter() - started) * 1000, context)
        return answers


def refuse(error: Exception) -> Refusal:
    """The answer to everyone in a batch whose handler raised `error`; the traceback goes to the log."""
    print("".join(traceback.format_exception(error)) + hint_for(error), end="", flush=True)
    if isinstance(error, MemoryError):
        return Refusal(*OUT_OF_RESOURCES)
    if isinstance(error, PredictionException):
        return Refusal(*refusal_of(error))
    return Refusal(*(OUT_OF_RESOURCES if "CUDA" in str(error) else PREDICTION_FAILED))


def _unfinished(values: list[Any], context: Context) -> list[bool]:
    """Asks the handler which jobs go on (surface spec 9.6): True is the last piece, False is more."""
    more = []
    criteria = context.stopping_criteria
    for index, value in enumerate(values):
        stop = criteria[index](value) if index < len(criteria) else None
        if stop is not None:
            context.set_response_header(index, "ts_stream_next", "false" if stop else "true")
        more.append(stop is not None and not stop)
    return more


def _close_streams(processors: list[Any]) -> None:
    """The value `handle` returns is the last piece of what the streaming helper began."""
    for processor in processors:
        if processor._streaming:
            processor.add_response_property("ts_stream_next", "false")

"""Loads the model a `load` frame describes (surface spec 9.1; docs/worker-protocol.md, "load.model")."""

from __future__ import annotations

import logging
import os
import platform
import sys
import traceback
from typing import Any

from davy_worker import cage, frameworks
from davy_worker.entry_point import find_entry_point
from davy_worker.frames import ProtocolError
from davy_worker.hints import hint_for
from davy_worker.imports import add_operator_paths, open_archive
from davy_worker.metric_frames import MetricOutbox
from davy_worker.prediction_time import prediction_time
from davy_worker.service import Service
from davy_worker.start_method import choose_start_method
from ts import __version__
from ts.context import Context
from ts.metrics.metrics_cache import MetricsCache

logger = logging.getLogger(__name__)

# Long enough for a cause, short enough for a log line and a describe answer.
MAX_MESSAGE_CHARACTERS = 2000
# Alerts look for this line in the model log (surface spec 9.1).
WORKER_DIED = "Backend worker process died."


class LoadFailed(Exception):
    """The model cannot be served. `code` is 500 or 507."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def load_model(model: dict[str, Any], outbox: MetricOutbox) -> Service:
    """Imports and initialises the handler.

    Raises LoadFailed; its traceback is in the log. Raises ProtocolError when the description is incomplete.
    """
    try:
        context = _context_of(model, outbox)
        model_dir, threads, wanted_cage = model["dir"], model.get("threads"), model.get("cage")
    except (KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"load frame: {error!r}") from None
    frameworks.limit_threads(threads)
    try:
        add_operator_paths()
        if wanted_cage is not None:
            # Landlock binds this thread and those that it starts, so it comes before frameworks start theirs. The filter
            # binds all threads and takes away what frameworks need to start. They are imported while the archive is
            # still out of reach: none of its code may run ahead of the cage.
            files, calls = cage.in_two(wanted_cage)
            in_force = cage.apply(files)
            frameworks.import_early(model.get("handler"), model_dir)
            logger.info("Restrictions in force: %s", in_force | cage.apply(calls))
        choose_start_method()
        open_archive(model_dir, model.get("packages"))
        entry = find_entry_point(model.get("handler"), model_dir, model.get("envelope"))
        torch_ready = frameworks.limit_torch(threads)
        handle = entry.load(context)
        if not torch_ready:
            frameworks.limit_torch(threads)
    except Exception as error:
        failure = _failure(error)
        # TorchServe's workers survive the first kinds long enough to answer; of any other they say this.
        died = "" if isinstance(error, (MemoryError, RuntimeError)) else f"{WORKER_DIED}\n"
        print(died + "".join(traceback.format_exception(error)) + hint_for(error), end="", flush=True)
        raise failure from error
    decode = bool(model.get("decodeInputRequest", True))
    interval_ms = float(model.get("metricsIntervalMs") or 0)
    return Service(handle, context, decode, prediction_time(model.get("metrics"), model["name"], outbox, interval_ms))


def _failure(error: Exception) -> LoadFailed:
    detail = f"{type(error).__name__}: {error}"[:MAX_MESSAGE_CHARACTERS]
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "CUDA" in str(error)):
        return LoadFailed(507, "System out of memory")
    if isinstance(error, RuntimeError):
        return LoadFailed(500, f"Unknown exception: {detail}")
    return LoadFailed(500, f"{WORKER_DIED} {detail}")


def _context_of(model: dict[str, Any], outbox: MetricOutbox) -> Context:
    context = Context(
        model_name=model["name"],
        model_dir=model["dir"],
        manifest=model.get("manifest"),
        batch_size=model.get("batchSize", 1),
        gpu=model.get("gpuId"),
        mms_version=__version__,
        limit_max_image_pixels=bool(model.get("limitMaxImagePixels", True)),
        model_yaml_config=model.get("config") or {},
    )
    for key, name in (model.get("sequenceHeaders") or {}).items():
        if key in ("id", "start", "end"):
            setattr(context, f"header_key_sequence_{key}", name)
    context.metrics = MetricsCache(model["name"], outbox.add, lambda: _ids(context))
    context.metrics.configure(model.get("metrics") or {})
    return context


def fork_context(context: Context) -> Context:
    """A context with its own view of the batch, for handlers that run batches side by side."""
    forked = context.fork()
    forked.metrics = context.metrics.bound_to(lambda: _ids(forked))
    return forked


def _ids(context: Context) -> list[str]:
    ids = context.request_ids
    return [] if ids is None else list(ids.values())


def announce() -> None:
    """The lines that a TorchServe worker writes first (surface spec 10.1); text, nothing more."""
    print(f"[PID]{os.getpid()}")
    print("Torch worker started.")
    print(f"Python runtime: {platform.python_version()}", flush=True)


def configure_logging() -> None:
    """Handler logs become text lines on stdout, as TorchServe has them (surface spec 11)."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)

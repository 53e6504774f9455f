"""Runs batches one after another, in the order they arrive. No threads, one write for each answer."""

from __future__ import annotations

from typing import Any

from davy_worker.frames import FrameReader, FrameWriter, ProtocolError
from davy_worker.metric_frames import MetricOutbox
from davy_worker.results import encode_piece
from davy_worker.rows import read_rows
from davy_worker.service import Answers, Refusal, Service
from ts.context import Context

OPERATIONS = ("predict", "explain", "describe")


class Reply:
    """How the batch in hand answers. Intermediate pieces may be sent from handler threads."""

    __slots__ = ("_batch", "_writer", "_outbox", "_is_open")

    def __init__(self, batch: int, writer: FrameWriter, outbox: MetricOutbox) -> None:
        self._batch = batch
        self._writer = writer
        self._outbox = outbox
        self._is_open = True

    def send_pieces(self, values: Any, indexes: Any, context: Context) -> None:
        """One piece of each request's streamed answer (surface spec 9.6)."""
        if not self._is_open:
            raise RuntimeError("this batch has been answered; nothing more can be sent for it")
        processors = context.request_processor
        for index in indexes:
            processor = None if processors is None else processors[index]
            self._writer.send(*encode_piece(self._batch, index, values[index], processor))

    def finish(self, outcome: Answers | Refusal) -> None:
        """The last frame of the batch, with the metrics it emitted ahead of it in the same write."""
        self._is_open = False
        metrics = self._outbox.take()
        if isinstance(outcome, Answers):
            header = f'{{"t":"done","b":{self._batch},"r":{outcome.results}}}'
            self._writer.send(header, outcome.bodies, before=metrics)
        else:
            if metrics is not None:
                self._writer.send(metrics)
            self._writer.send_object(
                {"t": "fault", "b": self._batch, "code": outcome.code, "message": outcome.message}
            )


def serve(service: Service, reader: FrameReader, writer: FrameWriter, outbox: MetricOutbox) -> None:
    """Serves until the server says stop or closes the socket."""
    while (frame := reader.read()) is not None:
        header, body_size = frame
        kind = header.get("t")
        if kind == "run":
            batch, operation, requests = run_members(header)
            _run_batch(service, Reply(batch, writer, outbox), operation, requests, reader, body_size)
        elif kind == "cancel":
            # Batches run one at a time: what is cancelled is finished or not yet read.
            reader.skip(body_size)
        elif kind == "stop":
            return
        else:
            raise ProtocolError(f"unexpected frame {kind!r}")


def _run_batch(
    service: Service,
    reply: Reply,
    operation: str,
    requests: list[dict[str, Any]],
    reader: FrameReader,
    body_size: int,
) -> None:
    """Reads, runs and answers one batch. Its bodies die with this call, not with the next batch."""
    context = service.context
    rows = rows_of(requests, reader, body_size, service.decode)
    context.begin(requests, operation, reply)
    reply.finish(service.predict(rows, context))


def run_members(header: dict[str, Any]) -> tuple[int, str, list[dict[str, Any]]]:
    """Batch id, operation and requests of a run frame."""
    try:
        batch, operation, requests = header["b"], header["op"], header["r"]
    except KeyError as error:
        raise ProtocolError(f"run frame without {error}") from None
    if type(batch) is not int or operation not in OPERATIONS or type(requests) is not list or not requests:
        raise ProtocolError("run frame with a member of the wrong kind")
    return batch, operation, requests


def rows_of(
    requests: list[dict[str, Any]], reader: FrameReader, body_size: int, decode: bool
) -> list[dict[str, Any]]:
    """The handler's rows; a request without its members is the server's mistake."""
    try:
        return read_rows(requests, reader, body_size, decode)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"run frame: {error!r}") from None

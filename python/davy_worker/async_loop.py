"""Runs batches side by side for handlers whose `handle` is a coroutine (`asyncCommunication`)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from davy_worker.frames import FrameReader, FrameWriter, ProtocolError
from davy_worker.loading import fork_context
from davy_worker.loop import Reply, rows_of, run_members
from davy_worker.metric_frames import MetricOutbox
from davy_worker.service import Answers, Refusal, Service

CANCELLED = Refusal(503, "Prediction failed")


def serve_async(service: Service, reader: FrameReader, writer: FrameWriter, outbox: MetricOutbox) -> None:
    """Serves until the server says stop (batches in hand are finished) or closes the socket (they are dropped)."""
    asyncio.run(_Session(service, reader, writer, outbox).run())


class _Session:
    """A thread reads frames, the event loop runs the batches."""

    def __init__(
        self, service: Service, reader: FrameReader, writer: FrameWriter, outbox: MetricOutbox
    ) -> None:
        self._service = service
        self._reader = reader
        self._writer = writer
        self._outbox = outbox
        self._tasks: dict[int, asyncio.Task[Answers | Refusal]] = {}
        self._waiting: dict[int, set[int]] = {}

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[bool] = self._loop.create_future()
        threading.Thread(target=self._read, name="davy-frames", daemon=True).start()
        drain = await self._ended
        while drain and self._tasks:
            await asyncio.wait(list(self._tasks.values()))
            # Their answers are sent by callbacks of the next turn.
            await asyncio.sleep(0)

    def _read(self) -> None:
        try:
            drain = self._read_frames()
            self._loop.call_soon_threadsafe(self._end, drain, None)
        except Exception as error:
            self._loop.call_soon_threadsafe(self._end, False, error)

    def _end(self, drain: bool, error: Exception | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(drain)
        else:
            self._ended.set_exception(error)

    def _read_frames(self) -> bool:
        """Hands batches to the loop; True for `stop`, False when the socket closed."""
        post = self._loop.call_soon_threadsafe
        while (frame := self._reader.read()) is not None:
            header, body_size = frame
            kind = header.get("t")
            if kind == "run":
                batch, operation, requests = run_members(header)
                rows = rows_of(requests, self._reader, body_size, self._service.decode)
                post(self._start, batch, operation, requests, rows)
            elif kind == "cancel":
                self._reader.skip(body_size)
                post(self._cancel, header.get("b"), header.get("i"))
            elif kind == "stop":
                return True
            else:
                raise ProtocolError(f"unexpected frame {kind!r}")
        return False

    def _start(self, batch: int, operation: str, requests: list[Any], rows: list[Any]) -> None:
        reply = Reply(batch, self._writer, self._outbox)
        context = fork_context(self._service.context)
        context.begin(requests, operation, reply)
        task = self._loop.create_task(self._service.predict_async(rows, context))
        self._tasks[batch] = task
        self._waiting[batch] = set(range(len(rows)))
        task.add_done_callback(lambda ended: self._answer(batch, reply, ended))

    def _answer(self, batch: int, reply: Reply, task: "asyncio.Task[Answers | Refusal]") -> None:
        """Answers a batch that ended in any way, also one cancelled before its first step."""
        del self._tasks[batch], self._waiting[batch]
        try:
            reply.finish(CANCELLED if task.cancelled() else task.result())
        except Exception as error:
            self._end(False, error)

    def _cancel(self, batch: Any, indexes: Any) -> None:
        """Stops a batch once nobody waits for any of its items; until then the others need it."""
        waiting = self._waiting.get(batch)
        if waiting is None or not isinstance(indexes, list):
            return
        waiting.difference_update(indexes)
        if not waiting:
            self._tasks[batch].cancel()

"""Splits a batch and overlaps preprocessing, inference and postprocessing (surface spec 9.8)."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

STAGES = ("preprocess", "inference", "postprocess")


class MicroBatching:
    """Replaces a handler's `handle`; micro-batches run through the stages side by side, answers keep their order.

    `parallelism` maps a stage to its number of threads (default 1 each); changes take effect with the next batch.
    """

    def __init__(
        self, parent_handler: Any, micro_batch_size: int = 1, parallelism: dict[str, int] | None = None
    ) -> None:
        self.handler = parent_handler
        self.micro_batch_size = micro_batch_size
        self._pools: dict[str, ThreadPoolExecutor] = {}
        # As many threads as the pools have; differs from `parallelism` until the next batch.
        self._threads: dict[str, int] = {}
        self.parallelism = parallelism or {}

    @property
    def parallelism(self) -> dict[str, int]:
        return self._parallelism

    @parallelism.setter
    def parallelism(self, wanted: dict[str, int]) -> None:
        unknown = set(wanted) - set(STAGES)
        if unknown:
            raise ValueError(f"parallelism takes {', '.join(STAGES)}, not {', '.join(sorted(unknown))}")
        self._parallelism = {stage: int(wanted.get(stage, 1)) for stage in STAGES}

    def shutdown(self) -> None:
        """Waits for the stages to be idle and ends their threads."""
        for pool in self._pools.values():
            pool.shutdown(wait=True)

    def handle(self, data: list[Any], context: Any) -> list[Any]:
        """The answers of the whole batch, in order; the first failure fails it."""
        started = time.perf_counter()
        self._resize_pools()
        handler = self.handler
        handler.context = context
        if handler._is_describe():
            output = [handler.describe_handle()]
        else:
            size = max(1, int(self.micro_batch_size))
            futures = [self._start(data[index : index + size]) for index in range(0, len(data), size)]
            output = [item for future in futures for item in future.result()]
        context.metrics.add_time("HandlerTime", round((time.perf_counter() - started) * 1000, 2))
        return output

    __call__ = handle

    def _resize_pools(self) -> None:
        """Gives each stage as many threads as `parallelism` says now."""
        wanted = {stage: max(1, self._parallelism.get(stage, 1)) for stage in STAGES}
        if wanted == self._threads:
            return
        self.shutdown()
        self._threads = wanted
        self._pools = {
            stage: ThreadPoolExecutor(threads, thread_name_prefix=stage) for stage, threads in wanted.items()
        }

    def _start(self, rows: list[Any]) -> "Future[list[Any]]":
        """Sends one micro-batch through the stages, each in the pool of its own stage."""
        done: Future[list[Any]] = Future()
        handler = self.handler

        def stage(name: str, step: Any, following: Any) -> None:
            def work() -> None:
                try:
                    following(step())
                except BaseException as error:
                    done.set_exception(error)

            self._pools[name].submit(work)

        def preprocessed(value: Any) -> None:
            if handler._is_explain():
                stage("inference", lambda: handler.explain_handle(value, rows), done.set_result)
            else:
                stage("inference", lambda: handler.inference(value), inferred)

        def inferred(value: Any) -> None:
            stage("postprocess", lambda: handler.postprocess(value), done.set_result)

        stage("preprocess", lambda: handler.preprocess(rows), preprocessed)
        return done

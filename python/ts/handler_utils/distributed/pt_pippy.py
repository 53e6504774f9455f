"""PiPPy pipeline set-up (surface spec 9.2)."""

from __future__ import annotations

from typing import Any


def initialize_rpc_workers(local_rank: int, world_size: int, ctx: Any) -> None:
    """Starts the pipeline's workers."""
    _refuse("initialize_rpc_workers")


def get_pipeline_driver(model: Any, world_size: int, ctx: Any) -> Any:
    """The model cut into stages."""
    _refuse("get_pipeline_driver")


def _refuse(name: str) -> None:
    from ts.torch_handler.absent_engine import refuse_engine

    refuse_engine(name, "pippy")

"""DeepSpeed engine set-up (surface spec 9.2)."""

from __future__ import annotations

from typing import Any


def get_ds_engine(model: Any, ctx: Any) -> Any:
    """The model as a DeepSpeed inference engine."""
    from ts.torch_handler.absent_engine import refuse_engine

    refuse_engine("get_ds_engine", "deepspeed")

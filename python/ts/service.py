"""Names that handlers import from `ts.service` (surface spec 9.2)."""

from __future__ import annotations

from typing import Any, Iterable

from ts.utils.util import PredictionException

__all__ = ["PredictionException", "emit_metrics"]


def emit_metrics(metrics: Iterable[Any]) -> None:
    """Kept for handlers that call it; metric objects emit themselves when they are updated."""
    for metric in metrics or ():
        emit = getattr(metric, "emit", None)
        if callable(emit):
            emit()

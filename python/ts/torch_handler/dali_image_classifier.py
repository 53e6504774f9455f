"""Image classification with DALI preprocessing (surface spec 9.2)."""

from __future__ import annotations

from ts.torch_handler.absent_engine import AbsentEngineHandler


class DALIImageClassifier(AbsentEngineHandler):
    packages = ("nvidia_dali",)

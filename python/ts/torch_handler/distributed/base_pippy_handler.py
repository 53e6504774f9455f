"""Pipeline-parallel models on PiPPy (surface spec 9.2)."""

from __future__ import annotations

from ts.torch_handler.absent_engine import AbsentEngineHandler


class BasePippyHandler(AbsentEngineHandler):
    packages = ("pippy",)

"""Handlers for engines that are not part of Davy: they load nothing and say what is missing."""

from __future__ import annotations

import importlib.util
from typing import Any


def refuse_engine(handler: str, *packages: str) -> None:
    """Raises the error that tells which package is not installed."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise RuntimeError(f"{handler} needs {' and '.join(missing)}, not installed in the worker's Python")
    raise RuntimeError(
        f"{handler} is not part of this server, although {' and '.join(packages)} is installed; "
        "write a handler that uses it directly"
    )


class AbsentEngineHandler:
    """Derived classes name the packages they would need."""

    packages: tuple[str, ...] = ()

    def initialize(self, context: Any) -> None:
        refuse_engine(type(self).__name__, *self.packages)

    def handle(self, data: Any, context: Any) -> Any:
        refuse_engine(type(self).__name__, *self.packages)

"""One label of a metric (surface spec 4.7)."""

from __future__ import annotations


class Dimension:
    """A name and its value."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"

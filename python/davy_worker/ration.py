"""What is told of every batch at low rates is told of the first hundred in ten seconds under load: telling costs more than serving."""

from __future__ import annotations

import time

SHARE = 100
SECONDS = 10.0


class Ration:
    """Gives out `SHARE` in each `SECONDS`."""

    __slots__ = ("_end", "_taken")

    def __init__(self) -> None:
        self._end = 0.0
        self._taken = 0

    def take(self) -> bool:
        """Whether there was one left."""
        now = time.monotonic()
        if now >= self._end:
            self._end = now + SECONDS
            self._taken = 0
        self._taken += 1
        return self._taken <= SHARE

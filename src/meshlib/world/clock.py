"""The process's clocks, and a detector for the moment they part company."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["JUMP", "JumpDetector", "monotonic", "wall"]

JUMP = 10.0
"""Seconds of wall clock against monotonic beyond which everything leased or cached counts as due.

An NTP slew moves 0.5 ms per second and stays far below; a suspended laptop, a migrated machine or a set clock is far
above. CLOCK_MONOTONIC stands still while Linux and macOS sleep, so a timer alone never notices a suspend.
"""

monotonic: Callable[[], float] = time.monotonic
"""Seconds for durations; never goes back."""

wall: Callable[[], float] = time.time
"""Seconds since the epoch, for dates only."""


class JumpDetector:
    """Tells, when asked, whether the wall clock jumped against the monotonic one since the question before.

    Not thread-safe: one asker. The baseline moves with every question, so a slow drift never adds up to a jump.
    """

    __slots__ = ("_limit", "_monotonic", "_offset", "_wall")

    def __init__(
        self,
        monotonic: Callable[[], float] = monotonic,
        wall: Callable[[], float] = wall,
        limit: float = JUMP,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._limit = limit
        self._offset = wall() - monotonic()

    def jumped(self) -> bool:
        """True once for each jump beyond the limit, forward or back."""
        offset = self._wall() - self._monotonic()
        jump = abs(offset - self._offset)
        self._offset = offset
        return jump > self._limit

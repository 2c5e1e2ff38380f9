"""FakeClock: time that moves only when a test moves it."""

from __future__ import annotations

import asyncio
from math import inf, isfinite
from threading import Lock

__all__ = ["FakeClock"]


class FakeClock:
    """Monotonic seconds on command: `clock()` reads them, `advance` and `sleep` move them.

    It is what meshlib takes as `now`, and `wall()` beside it is the date, which moves along and may also be set
    off by `jump_wall`, as an NTP step would. `sleeps` keeps what was slept, in order, in seconds. Thread-safe.
    Raises ValueError for a move backwards, by NaN or by infinity: a test that does so has a bug of its own.
    """

    __slots__ = ("_lock", "_now", "_wall_offset", "sleeps")

    def __init__(self, start: float = 1000.0, *, wall: float = 1_700_000_000.0) -> None:
        self._lock = Lock()
        self._now = start
        self._wall_offset = wall - start
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self._now

    def wall(self) -> float:
        """Seconds since the epoch."""
        with self._lock:
            return self._now + self._wall_offset

    def advance(self, seconds: float) -> float:
        """Let time pass; returns the new monotonic time."""
        _check(seconds)
        with self._lock:
            self._now += seconds
            return self._now

    def jump_wall(self, seconds: float) -> None:
        """Set the date forwards or backwards; monotonic time does not notice."""
        with self._lock:
            self._wall_offset += seconds

    def sleep(self, seconds: float) -> None:
        """`time.sleep` for code under test: time passes at once, and the sleep is recorded."""
        self.advance(seconds)
        with self._lock:
            self.sleeps.append(seconds)

    async def asleep(self, seconds: float) -> None:
        """`asyncio.sleep` for code under test.

        On a `VirtualLoop` of this clock several sleepers wake in the order of their times. On any other loop time
        passes at once, so that two sleepers pass one after the other, and the loop turns once. Infinity waits
        until cancelled.
        """
        if seconds != inf:
            _check(seconds)
        with self._lock:
            self.sleeps.append(seconds)
        loop = asyncio.get_running_loop()
        if seconds == inf:
            await loop.create_future()
        elif getattr(loop, "clock", None) is self:
            await asyncio.sleep(seconds)
        else:
            self.advance(seconds)
            await asyncio.sleep(0)

    def __repr__(self) -> str:
        return f"FakeClock({self._now!r})"


def _check(seconds: float) -> None:
    if seconds < 0:
        raise ValueError(f"a monotonic clock does not go back: asked to move by {seconds} s")
    if not isfinite(seconds):
        raise ValueError(f"time passes by a finite number of seconds, not by {seconds}")

"""VirtualLoop: an asyncio event loop whose time is a FakeClock.

When nothing is ready to run, a real loop waits in its selector until the next timer is due. This one moves the clock
there instead, so hours of sleeps and timeouts run in microseconds and always in the same order.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

from meshlib.testing.clock import FakeClock

__all__ = ["StalledError", "VirtualLoop"]


class StalledError(AssertionError):
    """Every task waits for something that no timer will ever bring."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop for one test: `loop.run_until_complete(...)`, then `loop.close()`.

    Only for code whose waiting is asyncio's own (sleep, timeout, Event, Queue, futures). Work in threads and real
    sockets take real time, which this loop does not give. Raises StalledError when nothing could ever happen again.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_TimeLapse(clock))
        self.clock = clock

    def time(self) -> float:
        """The clock's monotonic seconds."""
        return self.clock()


class _TimeLapse(selectors.BaseSelector):
    """A selector that, asked to wait, moves the clock and reports that the time has passed."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready:
            if timeout is None:
                raise StalledError("nothing is left to run: every task waits, and no timer is set")
            if timeout > 0:
                self._clock.advance(timeout)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

"""The deadline wheel: one timer a loop for every attempt's deadline, instead of one timer an attempt.

`loop.call_later` and its cancellation cost about 2 us, `asyncio.timeout` 4 us; arming an alarm and disarming it again costs
0.45 us (CPython 3.11, on one machine). Alarms are kept in 10 ms buckets; one `call_later` stands for the earliest bucket
and is left alone while later alarms come and go, so that a busy loop re-arms it once a timeout's length and an idle one
sleeps. Alarms under 20 ms away get a timer of their own, because a bucket would be a large share of them.

An alarm that goes off cancels its task by the protocol of `asyncio.timeout`: it remembers how often the task was being
cancelled before, and `disarm(cancelled=True)` tells its own cancellation from the caller's by `Task.uncancel`.

Deadlines are measured by the clock and armed by *differences* on `loop.time()`, because a loop may bring a clock of its own
(uvloop's is cached, a test's is virtual).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any

from meshlib.core.deadline import NEVER

__all__ = ["TICK", "Alarm", "Wheel", "wheel"]

TICK = 0.010
FINE = 0.020


class Alarm:
    """One armed deadline of the task that armed it."""

    __slots__ = ("_before", "_bucket", "_fired", "_task", "_timer")

    def __init__(self, task: asyncio.Task[Any] | None, bucket: set[Alarm] | None = None) -> None:
        self._task = task
        self._before = 0 if task is None else task.cancelling()
        self._fired = False
        self._bucket = bucket
        self._timer: asyncio.TimerHandle | None = None

    def disarm(self, *, cancelled: bool = False) -> bool:
        """Take the alarm back. With `cancelled`, whether the CancelledError in hand is this alarm's alone."""
        task = self._task
        if task is None:
            return False
        self._task = None
        if self._bucket is not None:
            self._bucket.discard(self)
            self._bucket = None
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._fired:
            return False
        # As asyncio.timeout does: take our cancellation off the count; more than before means the caller's is among it.
        return task.uncancel() <= self._before and cancelled

    def ring(self) -> None:
        """The time is up: cancel the task."""
        self._bucket = self._timer = None
        if self._task is not None and not self._fired:
            self._fired = True
            self._task.cancel()


_NO_ALARM = Alarm(None)


class Wheel:
    """The alarms of one event loop; used from that loop only."""

    __slots__ = ("_buckets", "_clock", "_context", "_loop", "_next", "_timer")

    def __init__(self, clock: Callable[[], float], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop() if loop is None else loop
        self._buckets: dict[float, set[Alarm]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0
        # Timers outlive calls: with the context of the call that happened to wind them they would keep its variables.
        self._context = Context()

    def arm(self, deadline: float, now: float | None = None) -> Alarm:
        """Cancel the running task at `deadline` unless the alarm is disarmed before. Never early, at most 10 ms late.

        `now`, when given, is what the clock has just said.
        """
        if deadline == NEVER:
            return _NO_ALARM
        if now is None:
            now = self._clock()
        task = asyncio.current_task(self._loop)
        if deadline - now < FINE:
            alarm = Alarm(task)
            self._fine(alarm, deadline, now)
            return alarm
        tick = deadline // TICK + 1.0
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
            if self._timer is None or tick < self._next:
                self._wind(tick, now)
        alarm = Alarm(task, bucket)
        bucket.add(alarm)
        return alarm

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def _fine(self, alarm: Alarm, deadline: float, now: float) -> None:
        left = deadline - now
        alarm._timer = self._loop.call_later(
            left if left > 0.0 else 0.0, self._due, alarm, deadline, context=self._context
        )

    def _due(self, alarm: Alarm, deadline: float) -> None:
        now = self._clock()
        if now < deadline:
            self._fine(alarm, deadline, now)  # a loop's own clock may run ahead of ours by its resolution
        else:
            alarm.ring()

    def _wind(self, tick: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = tick
        self._timer = self._loop.call_later(max(0.0, tick * TICK - now), self._turn, context=self._context)

    def _turn(self) -> None:
        """Ring what is due, forget empty buckets, and sleep until the next alarm that is still armed."""
        self._timer = None
        now = self._clock()
        # By the product that `_wind` has waited for: dividing may round to a tick less, and the wait would begin anew.
        for tick in sorted(
            tick for tick, bucket in self._buckets.items() if tick * TICK <= now or not bucket
        ):
            bucket = self._buckets.pop(tick)
            # Not iterated: cancelling may run code of the task's, which disarms alarms.
            while bucket:
                bucket.pop().ring()
        if self._buckets:
            self._wind(min(self._buckets), now)


def wheel(clock: Callable[[], float] = time.monotonic, running: Any = None) -> Wheel:
    """The running loop's wheel of that clock, made at its first use; `running` is that loop where it is known.

    It is an attribute of the loop, which makes it die with the loop. A WeakKeyDictionary would not: its values are held
    strongly, and a wheel refers to its loop through timers and tasks.
    """
    loop: Any = asyncio.get_running_loop() if running is None else running
    try:
        found: Wheel = loop._meshlib_wheel
    except AttributeError:
        found = loop._meshlib_wheel = Wheel(clock, loop)
    # Comparing two clocks costs more than all the rest, and they are one object nearly always.
    if found._clock is not clock and found._clock != clock:
        found = loop._meshlib_wheel = Wheel(clock, loop)
    return found

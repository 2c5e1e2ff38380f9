"""The deadline wheel: one timer a loop for every attempt's deadline, instead of one timer an attempt.

`loop.call_later` and its cancellation cost about 1.7 us, `asyncio.timeout` 4 us (measured); putting an alarm into a set and
taking it out again costs a tenth of that. Alarms are kept in 10 ms buckets; one `call_at` stands for the earliest bucket
and is left alone while later alarms come and go, so that a busy loop re-arms it once a timeout's length and an idle one
sleeps. Alarms under 20 ms away get a timer of their own, because a bucket would be a large share of them.

An alarm that goes off cancels its task by the protocol of `asyncio.timeout`: it remembers how often the task was being
cancelled before, and `disarm(cancelled=True)` tells its own cancellation from the caller's by `Task.uncancel`.

Deadlines are measured by `time.monotonic()` and armed by *differences* on `loop.time()`, because a loop may bring a clock
of its own (uvloop's is cached, a test's is virtual).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from meshlib.core.deadline import NEVER

__all__ = ["TICK", "Alarm", "Wheel", "wheel"]

TICK = 0.010
FINE = 0.020
_RATE = 1.0 / TICK


class Alarm:
    """One armed deadline of the task that armed it."""

    __slots__ = ("_bucket", "_before", "_fired", "_task", "_timer")

    def __init__(self, task: asyncio.Task[object] | None) -> None:
        self._task = task
        self._before = 0 if task is None else task.cancelling()
        self._fired = False
        self._bucket: set[Alarm] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def disarm(self, *, cancelled: bool = False) -> bool:
        """Take the alarm back. With `cancelled`, whether the CancelledError in hand is this alarm's alone."""
        task, self._task = self._task, None
        if self._bucket is not None:
            self._bucket.discard(self)
            self._bucket = None
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if task is None or not self._fired:
            return False
        # As asyncio.timeout does: take our cancellation off the count; more than before means that the caller's is among it.
        return task.uncancel() <= self._before and cancelled

    def ring(self) -> None:
        """The time is up: cancel the task."""
        self._bucket = None
        if self._task is not None and not self._fired:
            self._fired = True
            self._task.cancel()


_NO_ALARM = Alarm(None)


class Wheel:
    """The alarms of one event loop; used from that loop only."""

    __slots__ = ("_buckets", "_clock", "_next", "_timer")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[int, set[Alarm]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0

    def arm(self, deadline: float) -> Alarm:
        """Cancel the running task at `deadline` unless the alarm is disarmed before. Never early, at most 10 ms late."""
        if deadline == NEVER:
            return _NO_ALARM
        alarm = Alarm(asyncio.current_task())
        now = self._clock()
        if deadline - now < FINE:
            alarm._timer = asyncio.get_running_loop().call_later(max(0.0, deadline - now), alarm.ring)
            return alarm
        tick = int(deadline * _RATE) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
        bucket.add(alarm)
        alarm._bucket = bucket
        if self._timer is None or tick < self._next:
            self._wind(tick, now)
        return alarm

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def _wind(self, tick: int, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = tick
        self._timer = asyncio.get_running_loop().call_later(max(0.0, tick * TICK - now), self._turn)

    def _turn(self) -> None:
        """Ring what is due, forget empty buckets, and sleep until the next alarm that is still armed."""
        self._timer = None
        now = self._clock()
        due = int(now * _RATE)
        for tick in sorted(tick for tick, bucket in self._buckets.items() if tick <= due or not bucket):
            for alarm in self._buckets.pop(tick):
                alarm.ring()
        if self._buckets:
            self._wind(min(self._buckets), now)


_wheels: WeakKeyDictionary[asyncio.AbstractEventLoop, Wheel] = WeakKeyDictionary()


def wheel(clock: Callable[[], float] = time.monotonic) -> Wheel:
    """The running loop's wheel, made at its first use and gone with the loop."""
    loop = asyncio.get_running_loop()
    found = _wheels.get(loop)
    if found is None:
        # A pending timer refers to its loop, so a closed loop would be kept by its own wheel: swept here.
        for closed in [other for other in list(_wheels) if other.is_closed()]:
            _wheels.pop(closed, None)
        found = _wheels[loop] = Wheel(clock)
    return found

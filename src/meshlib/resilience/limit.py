"""Limiter: a cap on attempts in flight, with a bounded queue in front of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from threading import Lock, get_ident
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from meshlib.core.options import Options
from meshlib.core.wait import Wait

__all__ = ["LimitOptions", "Limiter"]


class LimitOptions(Options, frozen=True, kw_only=True):
    """`limit`: how many attempts may be in flight, and how many may wait for a place."""

    group: ClassVar[str] = "limit"

    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(
            description="Attempts in flight to the service. Off by default: a number chosen without measuring either "
            "never acts or caps a healthy service (gRPC's hidden 1,024 did, istio#55202)."
        ),
    ] = None
    queue: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Attempts that may wait for a place. 0 refuses at once: a queue in front of a slow service "
            "adds latency before it adds throughput.",
        ),
    ] = 0


class _Turn(Wait):
    """A Wait that leaves the queue with its waiter, so that the queue's length counts only who is really there."""

    __slots__ = ("_limiter",)

    def __init__(self, until: float, limiter: Limiter) -> None:
        super().__init__("queue", until, limiter.release)
        self._limiter = limiter

    def abandon(self) -> None:
        super().abandon()
        self._limiter._leave(self)


class Limiter:
    """Counts attempts in flight and never lets them exceed the limit; waiters get their turns in order of arrival.

    A granted turn owns its slot from the moment of the grant: the waiter must `release()` it like any other, and
    abandoning it releases it. Every slot is released exactly once. Thread-safe; the lock guards counters only and
    waiters are woken after it is let go (see `core.wait`).
    """

    __slots__ = ("_lock", "_options", "_queue", "_waking", "used")

    def __init__(self, options: LimitOptions) -> None:
        self._lock = Lock()
        self._options = options
        # Ordered and keyed, because a waiter that gives up leaves from the middle.
        self._queue: OrderedDict[_Turn, None] = OrderedDict()
        self._waking: dict[int, deque[_Turn]] = {}
        self.used: int = 0

    def acquire(self, until: float) -> Literal[True] | Wait | None:
        """True: a slot is taken. A Wait: a place in the queue, bounded by `until`. None: refused."""
        with self._lock:
            limit = self._options.concurrency
            if limit is None or self.used < limit:
                self.used += 1
                return True
            if len(self._queue) >= self._options.queue:
                return None
            turn = _Turn(until, self)
            self._queue[turn] = None
            return turn

    def release(self) -> None:
        """Give a slot back; the next waiter gets it."""
        with self._lock:
            self.used -= 1
            turns = self._grant() if self._queue else None
        if turns:
            self._wake(turns)

    @property
    def queued(self) -> int:
        """Waiters in line."""
        return len(self._queue)

    @property
    def options(self) -> LimitOptions:
        """What is in force."""
        return self._options

    def configure(self, options: LimitOptions) -> None:
        """Apply changed options in place. A raised limit grants waiters at once; a lowered one takes nothing back."""
        with self._lock:
            self._options = options
            turns = self._grant()
        self._wake(turns)

    def describe(self) -> dict[str, Any]:
        """Plain values for `state()`."""
        with self._lock:
            return {"used": self.used, "limit": self._options.concurrency, "queued": len(self._queue)}

    def _grant(self) -> list[_Turn]:
        limit = self._options.concurrency
        granted: list[_Turn] = []
        while self._queue and (limit is None or self.used < limit):
            turn, _ = self._queue.popitem(last=False)
            if turn.grant():
                self.used += 1
                granted.append(turn)
        return granted

    def _wake(self, turns: Iterable[_Turn]) -> None:
        """Wake each. A waiter found dead hands its turn back from inside `wake`, on this thread: the next one joins the
        loop that is already running, or a thousand waiters of a closed event loop would be a thousand calls deep."""
        thread = get_ident()
        running = self._waking.get(thread)
        if running is not None:
            running.extend(turns)
            return
        work = self._waking[thread] = deque(turns)
        try:
            while work:
                work.popleft().wake()
        finally:
            del self._waking[thread]

    def _leave(self, turn: _Turn) -> None:
        with self._lock:
            self._queue.pop(turn, None)

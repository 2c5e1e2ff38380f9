"""Wait: a place in line. The owner grants turns; the drivers do the waiting.

The rules that keep a turn from being lost or given twice:

1. `grant()` runs under the owner's lock and only moves state; it returns whether the turn was taken up.
2. `wake()` runs after the lock is released and only sets off the waiter (a future, an event, a callback).
3. A waiter that gives up (`abandon()`) after it was granted hands the turn back; the owner grants the next one.

State moves along PENDING -> GRANTED | ABANDONED exactly once, so a race between `grant` and `abandon` has one winner.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Literal

from meshlib.core.deadline import NEVER

__all__ = ["Reason", "Wait"]

Reason = Literal["snapshot", "queue", "quota", "order", "delay", "connection"]
_PENDING, _GRANTED, _ABANDONED = range(3)


class Wait:
    """One waiter's turn. `until` bounds the wait; a "delay" is a Wait that nobody grants.

    `returned`, when given, is called (outside every lock) if a granted turn is abandoned: the owner passes it on.
    Thread-safe; the lock inside guards two words and is never held while foreign code runs.
    """

    __slots__ = ("_lock", "_returned", "_state", "_waker", "reason", "until")

    def __init__(
        self, reason: Reason, until: float = NEVER, returned: Callable[[], None] | None = None
    ) -> None:
        self.reason = reason
        self.until: float = until
        self._returned = returned
        self._state = _PENDING
        self._waker: Callable[[], None] | None = None
        self._lock = Lock()

    @property
    def granted(self) -> bool:
        """Whether the turn has been given (and not handed back)."""
        return self._state == _GRANTED

    def grant(self) -> bool:
        """Give the turn. False when the waiter has already left: give it to the next. Wakes nobody: call `wake()`."""
        with self._lock:
            if self._state != _PENDING:
                return False
            self._state = _GRANTED
            return True

    def wake(self) -> None:
        """Set off the waiter, after `grant()` and outside the owner's lock. Never raises."""
        with self._lock:
            waker, self._waker = self._waker, None
        if waker is not None:
            try:
                waker()
            except RuntimeError:
                # The waiter's event loop is closed: nobody will ever take this turn up, so it passes on at once.
                self.abandon()

    def attach(self, waker: Callable[[], None]) -> bool:
        """The driver's side: register what wakes it. True when the turn is already there and no waker is needed."""
        with self._lock:
            if self._state == _GRANTED:
                return True
            self._waker = waker
            return False

    def abandon(self) -> None:
        """The waiter leaves (cancelled, timed out, loop closed). A turn it already held goes back to the owner."""
        with self._lock:
            had_turn = self._state == _GRANTED
            self._state = _ABANDONED
            self._waker = None
        if had_turn and self._returned is not None:
            self._returned()

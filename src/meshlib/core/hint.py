"""Hint: a word from the data path to the control path. Best effort: a full queue drops it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Literal

__all__ = ["Hint", "HintKind", "Hints"]

HintKind = Literal["refresh", "reconnect", "warm", "drain"]


class Hint:
    """`kind` says what would help, `service` where, `subject` (an address or "") to whom."""

    __slots__ = ("kind", "service", "subject")

    def __init__(self, kind: HintKind, service: str, subject: str = "") -> None:
        self.kind = kind
        self.service: str = service
        self.subject: str = subject

    def __repr__(self) -> str:
        return f"Hint({self.kind!r}, {self.service!r}, {self.subject!r})"


class Hints:
    """A bounded queue of hints: `put` never blocks and never raises, the control path `drain`s.

    `wake` is called, outside the lock, when the queue stops being empty. It must be safe from any thread; the
    RuntimeError of an event loop that is closed already is ignored. Thread-safe.
    """

    __slots__ = ("_capacity", "_lock", "_queue", "dropped", "wake")

    def __init__(self, capacity: int = 256, wake: Callable[[], None] | None = None) -> None:
        self._capacity = capacity
        self._queue: deque[Hint] = deque()
        self._lock = Lock()
        self.wake: Callable[[], None] | None = wake
        self.dropped: int = 0

    def put(self, hint: Hint) -> bool:
        """Leave a hint; False when the queue was full and it was dropped."""
        with self._lock:
            if len(self._queue) >= self._capacity:
                self.dropped += 1
                return False
            self._queue.append(hint)
            first = len(self._queue) == 1
        if first and self.wake is not None:
            try:
                self.wake()
            except RuntimeError:
                pass  # nobody is left to drain
        return True

    def drain(self) -> list[Hint]:
        """Take all hints, oldest first."""
        with self._lock:
            taken = list(self._queue)
            self._queue.clear()
        return taken

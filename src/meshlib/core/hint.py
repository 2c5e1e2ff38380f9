"""Hint: a word from the data path to the control path. Best effort: a full queue drops it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

__all__ = ["Hint", "HintKind", "Hints"]

HintKind = Literal["refresh", "reconnect", "warm", "drain"]


class Hint:
    """`kind` says what would help, `service` where, `subject` (an address or "") to whom."""

    __slots__ = ("kind", "service", "subject")

    def __init__(self, kind: HintKind, service: str, subject: str = "") -> None:
        self.kind = kind
        self.service = service
        self.subject = subject

    def __repr__(self) -> str:
        return f"Hint({self.kind!r}, {self.service!r}, {self.subject!r})"


class Hints:
    """A bounded queue of hints: `put` never blocks and never raises, the control path `drain`s.

    `wake` is called when the queue stops being empty. It must be safe from any thread.
    """

    __slots__ = ("_capacity", "_queue", "dropped", "wake")

    def __init__(self, capacity: int = 256, wake: Callable[[], None] | None = None) -> None:
        self._capacity = capacity
        self._queue: deque[Hint] = deque()
        self.wake = wake
        self.dropped = 0

    def put(self, hint: Hint) -> bool:
        """Leave a hint; False when the queue was full and it was dropped."""
        if len(self._queue) >= self._capacity:
            self.dropped += 1
            return False
        self._queue.append(hint)
        if self.wake is not None and len(self._queue) == 1:
            self.wake()
        return True

    def drain(self) -> list[Hint]:
        """Take all hints, oldest first."""
        taken: list[Hint] = []
        while True:
            try:
                taken.append(self._queue.popleft())
            except IndexError:
                return taken

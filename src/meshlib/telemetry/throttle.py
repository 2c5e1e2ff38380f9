"""Throttle: at most one line a subject and interval, and how many were left out."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from meshlib.world import fork

__all__ = ["Throttle"]

Key = tuple[str, ...]
_CAPACITY = 1024


class Throttle:
    """Thread-safe and bounded: of more than 1,024 keys within an interval the oldest are forgotten first."""

    __slots__ = ("__weakref__", "_clock", "_interval", "_lock", "_seen")

    def __init__(self, interval: float, clock: Callable[[], float]) -> None:
        self._interval = interval
        self._clock = clock
        self._lock = Lock()
        self._seen: dict[Key, tuple[float, int]] = {}
        fork.watch(self)

    def after_in_child(self) -> None:
        """The inherited lock may be held by a thread that does not exist here."""
        self._lock = Lock()

    def admit(self, *key: str) -> int | None:
        """How many were left out since the last admitted one; None when this one is to be left out, too."""
        now = self._clock()
        with self._lock:
            last = self._seen.pop(key, None)
            if last is not None and now - last[0] < self._interval:
                self._seen[key] = (last[0], last[1] + 1)
                return None
            if len(self._seen) >= _CAPACITY:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = (now, 0)
            return 0 if last is None else last[1]

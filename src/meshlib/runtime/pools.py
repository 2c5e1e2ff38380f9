"""Pools: what clients of one mesh share (connections, by whatever key), counted by its users."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

__all__ = ["Pools"]

T = TypeVar("T")


class Pools:
    """Wires by key. The last user to leave gets the wire back, to close it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wires: dict[Hashable, tuple[Any, int, Any]] = {}

    def join(self, key: Hashable, make: Callable[[], T], owner: Any = None) -> T:
        """The wire of this key, made by the first user; `owner` is the event loop it lives on, None for threads."""
        with self._lock:
            found, users, held = self._wires.get(key, (None, 0, owner))
            wire: T = make() if found is None else found
            self._wires[key] = (wire, users + 1, held)
            return wire

    def leave(self, key: Hashable) -> Any:
        """One user fewer. The wire itself when nobody is left, else None."""
        with self._lock:
            wire, users, owner = self._wires.get(key, (None, 0, None))
            if users > 1:
                self._wires[key] = (wire, users - 1, owner)
                return None
            self._wires.pop(key, None)
            return wire

    def all(self) -> list[tuple[Any, Any]]:
        """Every wire with the loop that owns it (None: threads)."""
        with self._lock:
            return [(wire, owner) for wire, _, owner in self._wires.values()]

    def taken(self) -> list[tuple[Any, Any]]:
        """Every wire with its owner, leaving none behind."""
        with self._lock:
            found = [(wire, owner) for wire, _, owner in self._wires.values()]
            self._wires.clear()
            return found

"""What a wire knows of all its connections: how old they may become, whether it still keeps idle ones, whose they are.

A wire that is closed does not cut its calls off: it is retired. Idle connections close at once, the others when their
response ends, and the pools ask for that by themselves, because a retired connection says that it has expired.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from meshlib.core.deadline import NEVER
from meshlib.world import fork

__all__ = ["Connections"]


class Connections:
    """Shared by a wire, its network backend and its streams. `retired` is read by every stream; set once, never back."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, max_age: Callable[[], float] | None = None
    ) -> None:
        self.clock = clock
        self.retired: bool = False
        self.inherited: bool = False
        """True in the child of a fork: the sockets are the parent's."""
        self.version: Callable[[], int] = lambda: 0
        """The identity that connections are made under now; one of another version is not used again."""
        self.grace: float = 0.0
        """Seconds that a connection of an older identity is left alone after the newer one was seen: see `HttpxWire`."""
        self._newest: int | None = None
        self._seen: float = 0.0
        self._max_age = max_age
        self._streams: WeakSet[Any] = WeakSet()
        fork.watch(self)

    def expiry(self) -> float:
        """When a connection made now is too old to be used again."""
        return NEVER if self._max_age is None else self.clock() + self._max_age()

    def over(self, expires: float, version: int | None) -> bool:
        """Whether a connection is too old, of a wire that keeps none any more, or of an identity that was replaced."""
        if self.retired or self.clock() >= expires:
            return True
        return version is not None and self._replaced(version)

    def _replaced(self, version: int) -> bool:
        newest = self.version()
        if newest != self._newest:
            self._seen, self._newest = self.clock(), newest
        return version != newest and self.clock() >= self._seen + self.grace

    def add(self, stream: Any) -> None:
        """Remember an open stream, weakly; it has `descriptor()`."""
        self._streams.add(stream)

    def __len__(self) -> int:
        return sum(stream.descriptor() >= 0 for stream in list(self._streams))

    def after_in_child(self) -> None:
        """Let go of the parent's sockets without a word to the peers (house rule 16)."""
        self.inherited = self.retired = True
        descriptors = [stream.descriptor() for stream in list(self._streams)]
        fork.silence([descriptor for descriptor in descriptors if descriptor >= 0])

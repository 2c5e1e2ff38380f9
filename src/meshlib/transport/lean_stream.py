"""What a streamed body on a lean connection reads from, until it is closed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from meshlib.core.deadline import NEVER
from meshlib.transport.lean_aio import AsyncConnection
from meshlib.transport.lean_errors import LeanError
from meshlib.transport.lean_sync import Connection

__all__ = ["AsyncLeanStream", "LeanStream"]


class _Stream:
    """`read` bounds each pause between two chunks, `until` all of it. `back` takes the connection, once."""

    __slots__ = ("_back", "_clock", "_connection", "_read", "_until")

    def __init__(
        self,
        connection: Any,
        clock: Callable[[], float],
        read: float,
        until: float,
        back: Callable[..., None],
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._read = read
        self._until = until
        self._back: Callable[..., None] | None = back

    def close(self) -> None:
        """Give the connection back; one whose message is not over closes. Needs no waiting, on a loop either."""
        back, self._back = self._back, None
        if back is not None:
            back(self._connection, self._clock())


class LeanStream(_Stream):
    """For threads. Raises what `Connection` raises."""

    __slots__ = ()
    _connection: Connection

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._back is None:
            raise StopIteration  # closed: the connection may be somebody else's by now
        try:
            part = self._connection.part(self._read)
        except BaseException:
            self.close()  # nothing more will come of it, whether the response is closed or not
            raise
        if not part:
            raise StopIteration
        return part


class AsyncLeanStream(_Stream):
    """For an event loop. Raises what `AsyncConnection` raises."""

    __slots__ = ()
    _connection: AsyncConnection

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._back is None:
            raise StopAsyncIteration  # closed: the connection may be somebody else's by now
        try:
            part = await self._connection.part(self._bound())
        except BaseException:
            self.close()
            raise
        if not part:
            raise StopAsyncIteration
        return part

    def _bound(self) -> float:
        if self._until == NEVER:
            return self._read
        left = self._until - self._clock()
        # A peer that always has something ready would never be waited for.
        if left <= 0.0 and not self._connection.core.complete:
            raise LeanError("ReadTimeout", "timed out")
        return min(self._read, max(0.0, left))

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

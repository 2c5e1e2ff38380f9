"""Guarded: httpcore's asyncio pools, safe under asyncio's own cancellation.

httpcore guards its clean-up with anyio's cancel scopes, which `task.cancel()` ignores; httpcore2 does the same. A task cancelled
in one of its lock's checkpoints leaves a connection that is neither busy nor idle: open for ever, and counted by the pool
(seen with 1.0.9 after a few thousand random cancellations). Here a request that ends badly closes its connection, and the end
of a response is made without giving the loop a turn, so that there is no instant to be cancelled in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any, ClassVar

__all__ = ["Guarded"]


class _Atomic:
    """Awaits a coroutine, skipping its mere yields to the loop; what really waits still does."""

    __slots__ = ("_work",)

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, None]:
        work = self._work
        try:
            waits_for = work.send(None)
            while True:
                if waits_for is None:
                    waits_for = work.send(None)
                    continue
                try:
                    answer = yield waits_for
                except BaseException as error:
                    waits_for = work.throw(error)
                else:
                    waits_for = work.send(answer)
        except StopIteration:
            return


_ASKED = (
    "aclose",
    "can_handle_request",
    "can_multiplex",
    "has_expired",
    "info",
    "is_available",
    "is_closed",
    "is_connected",
    "is_idle",
)


class _Connection:
    """A connection that is closed when a request on it ends by anything but an answer."""

    def __init__(self, inner: Any, unavailable: type[Exception]) -> None:
        self._inner = inner
        self._unavailable = unavailable
        # The pool asks these of every connection at every request: bound once, so that they cost no extra frame.
        for name in _ASKED:
            if hasattr(inner, name):  # httpcore2 asks for two more than httpcore
                setattr(self, name, getattr(inner, name))

    async def handle_async_request(self, request: Any) -> Any:
        try:
            response = await self._inner.handle_async_request(request)
        except self._unavailable:
            raise
        except BaseException:
            await self.end()
            raise
        response.stream = _Stream(response.stream, self)
        return response

    async def end(self) -> None:
        """Close unless idle, closed, or shared with other requests (HTTP/2). Does not suspend."""
        inner = self._inner
        if not (inner.is_idle() or inner.is_closed()) and "HTTP/2" not in inner.info():
            await inner.aclose()

    def __repr__(self) -> str:
        return repr(self._inner)


class _Stream:
    """The response's stream, whose end is one step."""

    def __init__(self, inner: Any, connection: _Connection) -> None:
        self._inner = inner
        self._connection = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        parts: AsyncIterator[bytes] = self._inner.__aiter__()
        return parts

    async def aclose(self) -> None:
        try:
            await _Atomic(self._inner.aclose())
        finally:
            await self._connection.end()


class Guarded:
    """For one of the library's asyncio pools: every connection it makes is a guarded one."""

    unavailable: ClassVar[type[Exception]]
    """What says that a connection cannot take the request after all: no failure of it."""

    def create_connection(self, origin: Any) -> Any:
        """A guarded one."""
        return _Connection(super().create_connection(origin), self.unavailable)  # type: ignore[misc]

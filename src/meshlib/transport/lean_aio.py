"""AsyncConnection: one HTTP/1.1 connection on an event loop, asyncio's or uvloop's.

A protocol, not a stream: a small answer costs one callback and one future. It never waits without a bound: the attempt's
deadline cancels whoever awaits, and the bounds of single operations share one lazily moved timer a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import NEVER
from meshlib.transport.backend import readable
from meshlib.transport.http1 import BrokenResponse, Http1
from meshlib.transport.lean_errors import reading, writing
from meshlib.transport.lean_sync import enough

if TYPE_CHECKING:
    from meshlib.transport.pool import Pool

__all__ = ["AsyncConnection"]

_HIGH_WATER = 256 * 1024
"""Bytes of a streamed body that may wait unread; reading from the socket pauses above it."""
_CLOSED = ConnectionResetError("the connection is closed")


class AsyncConnection(asyncio.Protocol):
    """Used by one exchange at a time, on its own loop. Raises LeanError."""

    __slots__ = (
        "__weakref__",
        "_bound",
        "_clock",
        "_deadline",
        "_drained",
        "_error",
        "_loop",
        "_paused",
        "_timer",
        "_waiter",
        "_whole",
        "core",
        "dies",
        "expires",
        "pool",
        "since",
        "stamp",
        "transport",
    )

    def __init__(
        self, pool: Pool[AsyncConnection], loop: asyncio.AbstractEventLoop, clock: Callable[[], float]
    ) -> None:
        self.core: Http1 = Http1()
        self.pool: Pool[AsyncConnection] = pool
        self.stamp: int = pool.stamp
        self.since: float = 0.0
        self.expires: float = NEVER
        self.dies: float = NEVER
        """When it is too old, however busy."""
        self.transport: Any = None
        self._loop = loop
        self._clock = clock
        self._whole = True
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._paused = False
        self._bound = NEVER
        self._deadline = NEVER
        self._timer: asyncio.TimerHandle | None = None

    # --- an exchange ---------------------------------------------------------------------------------------------------

    def begin(self, method: str, whole: bool, close: bool) -> None:
        """An exchange begins; `whole`: nothing is wanted before the message's end; `close`: the request asks for the end.

        Raises LeanError when the connection was lost before.
        """
        if self._error is not None:
            raise writing(self._error)  # lost between the handshake and now
        self._whole = whole
        self.core.begin(method, close)

    def write(self, data: bytes) -> None:
        """Send all of `data`, without waiting. Raises LeanError when the connection is closed and nothing has left."""
        transport = self.transport
        if self._error is None and not transport.is_closing():
            transport.write(data)
            # asyncio tries at once: one that closed under the first write has sent nothing.
            if not transport.is_closing():
                return
        raise writing(self._error or _CLOSED)

    async def drain(self, bound: float) -> None:
        """Wait until the peer takes more, or has answered enough; `bound` seconds at most."""
        if self._drained is not None and self._error is None:
            self._bounded(bound)
            await self._drained
        if self._error is not None and not self.core.head:
            raise writing(self._error)

    @property
    def slow(self) -> bool:
        """Whether the peer is slow to read: `drain` would wait."""
        return self._drained is not None

    def changed(self, bound: float) -> asyncio.Future[None]:
        """Done when what `begin` asked for is there, or nothing more can come: look at `core`, then wait again.

        `bound`: the longest pause between two reads. A plain future, because a coroutine more would cost every request.
        """
        if self._error is not None:
            raise reading(self._error, self.core.started)
        if bound != NEVER or self._bound != NEVER:
            self._bounded(bound)
        waiter = self._waiter = self._loop.create_future()
        return waiter

    async def continued(self, bound: float) -> None:
        """Until the peer wants the body (100), or answers without it, or `bound` seconds are over."""
        whole, self._whole = self._whole, False
        core, until = self.core, self._clock() + bound
        while not (core.continued or core.head) and self._clock() < until:
            try:
                async with asyncio.timeout(bound):
                    await self.changed(NEVER)
            except TimeoutError:
                break  # RFC 9110 10.1.1: do not wait indefinitely
        self._whole = whole
        if whole and self._paused:
            self._pause(False)

    async def part(self, bound: float) -> bytes:
        """What has come of a streamed body; empty at its end."""
        core = self.core
        while not core.parts:
            if core.complete:
                return b""
            await self.changed(bound)
        parts = core.parts
        core.parts = []
        core.buffered = 0
        if self._paused:
            self._pause(False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # --- what the loop calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """The loop's."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """The loop's."""
        core = self.core
        try:
            core.feed(data)
        except BrokenResponse as error:
            self._fail(error)
            self.transport.abort()
            return
        if core.complete or not self._whole:
            waiter = self._waiter
            if waiter is not None:
                self._waiter = None
                if not waiter.done():
                    waiter.set_result(None)
            elif core.complete:
                if self._paused:
                    self._pause(False)  # the message may be left unread, the connection is to go on
            elif core.buffered > _HIGH_WATER and not self._paused:
                self._pause(True)
            if self._drained is not None and enough(core):
                self.resume_writing()
        elif self._bound != NEVER:
            self._deadline = self._clock() + self._bound  # one pause is over, the next begins

    def eof_received(self) -> None:
        """The loop's; it closes the transport afterwards."""
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        """The loop's."""
        self._end(error)
        self.pool.lost(self)
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """The loop's: the peer is slow to read."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """The loop's."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def _end(self, error: Exception | None) -> None:
        if self._error is not None:
            return
        try:
            if error is None:
                self.core.eof()
        except BrokenResponse as broken:
            error = broken
        self._fail(_CLOSED if error is None else error)

    def _pause(self, reading: bool) -> None:
        self._paused = reading
        if reading:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self.core.reusable = False  # an answer that is whole already still counts
        waiter, self._waiter = self._waiter, None
        drained = self._drained
        if waiter is not None and not waiter.done():
            waiter.set_result(None)  # whoever wakes looks for the answer first, and for the error then
        if drained is not None and not drained.done():
            drained.set_result(None)

    # --- the bound of single operations --------------------------------------------------------------------------------

    def _bounded(self, bound: float) -> None:
        self._bound = bound
        if bound == NEVER:
            self._deadline = NEVER
            return
        self._deadline = self._clock() + bound
        timer = self._timer
        # An earlier timer looks again and moves on: a busy connection winds one a timeout's length, not one a request.
        if timer is None or timer.when() > self._loop.time() + bound:
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_later(bound, self._ring)

    def _ring(self) -> None:
        self._timer = None
        waiter, drained = self._waiter, self._drained
        # Done: somebody was woken, or has given up waiting without giving up the connection.
        if self._deadline == NEVER or not (
            (waiter is not None and not waiter.done()) or (drained is not None and not drained.done())
        ):
            return
        left = self._deadline - self._clock()
        if left > 0.0:
            self._timer = self._loop.call_later(left, self._ring)
        else:
            self._fail(TimeoutError("timed out"))

    # --- what the pool asks --------------------------------------------------------------------------------------------

    def stale(self, thorough: bool) -> bool:
        """See `pool.Pooled`: the loop tells soon enough, except to a request that may not be repeated."""
        if self._error is not None or self.transport.is_closing():
            return True
        return thorough and readable(self.transport.get_extra_info("socket"))

    def discard(self) -> None:
        """Close at once: a graceful end would wait for a dead peer, to take a TLS farewell or what is still unsent."""
        if self._error is None:
            self._error = _CLOSED
        if self.transport is not None:
            self.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """As the families' `network_stream`: `client_addr`, `server_addr`, `socket`, `ssl_object`."""
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self.transport.get_extra_info(names.get(info, info))

    def descriptor(self) -> int:
        """The socket's file descriptor, -1 once it is closed."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

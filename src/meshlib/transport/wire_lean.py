"""The lean wire: HTTP/1.1 of our own, one pool an endpoint, for a fraction of what a general pool costs.

The two wires wait in their own ways and share all else (`lean`). HTTP/2, proxies and upgrades are not spoken here: the httpx
wire carries them, chosen where a wire is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import NEVER
from meshlib.drivers.aio import wait as async_wait
from meshlib.drivers.sync import wait
from meshlib.engine.call import BUFFERED, IDEMPOTENT
from meshlib.transport import dial_aio
from meshlib.transport.dial import dial
from meshlib.transport.lean import NO_TIMEOUTS, SWEEP, Lean, seconds
from meshlib.transport.lean_aio import AsyncConnection
from meshlib.transport.lean_errors import LeanError, connecting
from meshlib.transport.lean_request import Written, written
from meshlib.transport.lean_stream import AsyncLeanStream, LeanStream
from meshlib.transport.lean_sync import Connection, enough
from meshlib.transport.request_head import BodyWriter, RefusedRequest

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.node import Node
    from meshlib.security.secured import ServiceSecurity
    from meshlib.transport.binding import Binding
    from meshlib.transport.handshake import Tls
    from meshlib.transport.pool import Pool
    from meshlib.transport.pool_options import PoolOptions

__all__ = ["AsyncLeanWire", "LeanWire"]

_CONTINUE = 1.0
"""Seconds that a body waits for the peer's 100 (Continue) before it goes all the same."""
_BURST = 64 * 1024
"""Bytes of a body in parts after which the loop gets a turn."""


class LeanWire(Lean[Connection]):
    """For threads."""

    def send(self, attempt: Attempt, request: Any) -> Any:
        """See `transport.wire.Wire`."""
        if self.bodies.orphaned:
            for stream in self.bodies.orphans():
                stream.close()
        try:
            return self._sent(attempt, request)
        except LeanError as error:
            raise self._translated(error, request) from error.__cause__

    def _sent(self, attempt: Attempt, request: Any) -> Any:
        timeouts: dict[str, float | None] = request.extensions.get("timeout") or NO_TIMEOUTS
        out = written(attempt, request, self.binding.ByteStream)
        tls = self.handshakes.of(attempt, request)
        pool = self._pool(attempt.node, tls)
        connection = pool.take(attempt.started, bool(attempt.call.flags & IDEMPOTENT))
        if connection is None:
            connection = self._connection(pool, attempt, request, timeouts, tls)
        try:
            self._ask(connection, attempt, request.method, out, seconds(timeouts, "write"))
            connection.answered(seconds(timeouts, "read"), bool(attempt.call.flags & BUFFERED))
        except BaseException:
            pool.drop(connection)
            raise
        now = attempt.head = self.clock()
        if attempt.opened and tls is not None:
            tls.remember(connection.socket)  # type: ignore[arg-type]
        if connection.core.complete:
            return self._whole(attempt, request, connection, now)
        read, until = self._loosened(attempt, timeouts, now)
        connection.until = until
        stream = LeanStream(connection, self.clock, read, until, self._back)
        body = self.binding.leased(stream, attempt, request, self.bodies, self._translated)
        return self._response(attempt, connection, body)

    def _ask(self, connection: Connection, attempt: Attempt, method: str, out: Written, bound: float) -> None:
        connection.begin(method, attempt.until, out.closes)
        data = out.data
        written = connection.write(data, bound)
        attempt.sent = True
        try:
            whole = written == len(data) or connection.write_all(memoryview(data)[written:], bound)
            if whole and out.parts is not None:
                whole = self._upload(connection, out, bound)
            if not whole:
                connection.dies = 0.0  # the peer may take what comes next for the body
        except LeanError as error:
            if not (error.kind == "WriteError" and connection.waiting()):
                raise
            # The peer closed while the request was on its way; what it had to say about that is the answer.
            connection.dies = 0.0

    def _upload(self, connection: Connection, out: Written, bound: float) -> bool:
        """Whether all of the body went: a peer that has answered enough is spared the rest."""
        if out.waits:
            connection.continued(_CONTINUE)
            if connection.core.head:
                return False
        writer = BodyWriter(out.framing)
        for part in out.parts:
            if not connection.write_all(_framed(writer.write, part), bound):
                return False
        return connection.write_all(_framed(writer.end), bound)

    def _connection(
        self,
        pool: Pool[Connection],
        attempt: Attempt,
        request: Any,
        timeouts: dict[str, float | None],
        tls: Tls | None,
    ) -> Connection:
        """One that became free, or a new one."""
        turn = pool.room(self._wait_until(attempt, timeouts))
        if turn is not None:
            try:
                wait(turn, self.clock)
            except BaseException:
                turn.abandon()
                raise
            found = self._received(pool, turn, attempt)
            if found is not None:
                return found
        try:
            self.sweep()
            address = self._address(attempt.node, self._asked(request), tls)
            made = self._made(pool, address, self._connect_by(attempt, timeouts), tls)
        except BaseException:
            pool.left()
            raise
        attempt.opened = self.clock()
        return made

    def warm(self, node: Node, seconds: float) -> None:
        """Connect to a node before a request needs it, where nothing is open yet; what fails is left to the first request."""
        ahead = self._ahead(node)
        if ahead is None:
            return
        pool, address, tls = ahead
        try:
            connection = self._made(pool, address, self.clock() + seconds, tls)
        except BaseException as error:
            pool.left()
            if not isinstance(error, LeanError):
                raise
        else:
            self._kept(connection)

    def _made(
        self, pool: Pool[Connection], address: tuple[str, int], until: float, tls: Tls | None
    ) -> Connection:
        try:
            sock: Any = dial(*address, until, self.clock)
            if tls is not None:
                try:
                    sock.settimeout(None if until == NEVER else max(0.001, until - self.clock()))
                    sock = tls.context.wrap_socket(
                        sock, server_hostname=tls.server_hostname, session=tls.session
                    )
                    tls.check(sock)
                except BaseException:
                    sock.close()
                    raise
        except OSError as error:
            raise connecting(error) from error
        connection = Connection(pool, sock, pool.stamp if tls is None else tls.version, self.clock)
        connection.dies = self.connections.expiry()
        self.connections.add(connection)
        return connection

    def close(self) -> None:
        """Keep no connection any more: idle ones close now, the others with the call that has them."""
        for stream in self.bodies.orphans():
            stream.close()
        self._retire()


class AsyncLeanWire(Lean[AsyncConnection]):
    """For one event loop."""

    def __init__(
        self,
        binding: Binding,
        options: PoolOptions,
        clock: Callable[[], float],
        security: Callable[[], ServiceSecurity | None] = lambda: None,
        service: str = "",
    ) -> None:
        super().__init__(binding, options, clock, security, service)
        self._loop = asyncio.get_running_loop()
        self._warming: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(self, attempt: Attempt, request: Any) -> Any:
        """See `transport.wire.AsyncWire`."""
        if self.bodies.orphaned:
            self._reap()
        connection = None
        try:
            timeouts: dict[str, float | None] = request.extensions.get("timeout") or NO_TIMEOUTS
            flags = attempt.call.flags
            out = written(attempt, request, self.binding.ByteStream)
            tls = self.handshakes.of(attempt, request)
            pool = self._pool(attempt.node, tls)
            connection = pool.take(attempt.started, flags & IDEMPOTENT != 0)
            if connection is None:
                connection = await self._connection(pool, attempt, request, timeouts, tls)
            core, whole, read = connection.core, flags & BUFFERED != 0, seconds(timeouts, "read")
            connection.begin(request.method, whole, out.closes)
            connection.write(out.data)
            attempt.sent = True
            if out.parts is not None or connection.slow:
                await self._upload(connection, out, seconds(timeouts, "write"))
            while not (core.complete or (core.head and not whole)):
                await connection.changed(read)
        except BaseException as error:
            if connection is not None:
                connection.pool.drop(connection)
            if isinstance(error, LeanError):
                raise self._translated(error, request) from error.__cause__
            raise
        now = attempt.head = self.clock()
        if core.complete:
            return self._whole(attempt, request, connection, now)
        read, until = self._loosened(attempt, timeouts, now)
        stream = AsyncLeanStream(connection, self.clock, read, until, self._back)
        body = self.binding.async_leased(stream, attempt, request, self.bodies, self._translated)
        return self._response(attempt, connection, body)

    async def _upload(self, connection: AsyncConnection, out: Written, bound: float) -> None:
        core = connection.core
        await connection.drain(bound)
        if enough(core):
            connection.dies = 0.0  # what is still on its way belongs to an exchange that is over
            return
        if out.parts is None:
            return
        if out.waits:
            await connection.continued(_CONTINUE)
            if core.head:
                connection.dies = 0.0  # the peer may take what comes next for the body
                return
        writer = BodyWriter(out.framing)
        burst = 0
        async for part in _each(out.parts):
            if not await self._push(connection, _framed(writer.write, part), bound):
                return
            burst += len(part)
            if burst > _BURST:
                # A body that is at hand and a peer that is as fast would keep the loop from everybody else, answers included.
                burst = 0
                await asyncio.sleep(0)
        await self._push(connection, _framed(writer.end), bound)

    async def _push(self, connection: AsyncConnection, data: bytes, bound: float) -> bool:
        """Send more of a body; False when the peer has answered enough to spare it the rest."""
        try:
            if data and not enough(connection.core):
                connection.write(data)
                await connection.drain(bound)
        except LeanError:
            if not connection.core.head:
                raise
        else:
            if not enough(connection.core):
                return True
        connection.dies = 0.0
        return False

    async def _connection(
        self,
        pool: Pool[AsyncConnection],
        attempt: Attempt,
        request: Any,
        timeouts: dict[str, float | None],
        tls: Tls | None,
    ) -> AsyncConnection:
        """One that became free, or a new one."""
        turn = pool.room(self._wait_until(attempt, timeouts))
        if turn is not None:
            try:
                await async_wait(turn, self.clock)
            except BaseException:
                turn.abandon()
                raise
            found = self._received(pool, turn, attempt)
            if found is not None:
                return found
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep_again)
        try:
            address = self._address(attempt.node, self._asked(request), tls)
            made = await self._made(pool, address, self._connect_by(attempt, timeouts), tls)
        except BaseException:
            pool.left()
            raise
        attempt.opened = self.clock()
        return made

    def warm(self, node: Node, seconds: float) -> None:
        """See `LeanWire.warm`; called on the wire's own loop, returns at once."""
        ahead = self._ahead(node)
        if ahead is not None:
            task = self._loop.create_task(self._warmed(*ahead, seconds))
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)

    async def _warmed(
        self, pool: Pool[AsyncConnection], address: tuple[str, int], tls: Tls | None, seconds: float
    ) -> None:
        try:
            connection = await self._made(pool, address, self.clock() + seconds, tls)
        except BaseException as error:
            pool.left()
            if not isinstance(error, LeanError):
                raise
        else:
            self._kept(connection)

    async def _made(
        self, pool: Pool[AsyncConnection], address: tuple[str, int], until: float, tls: Tls | None
    ) -> AsyncConnection:
        host, port = address
        connection = AsyncConnection(pool, self._loop, self.clock)
        try:
            async with asyncio.timeout(until - self.clock()):
                sock = await dial_aio.dial(host, port)
                where: dict[str, Any] = {"host": host, "port": port} if sock is None else {"sock": sock}
                if tls is not None:
                    where |= {"ssl": tls.context, "server_hostname": tls.server_hostname}
                await self._loop.create_connection(lambda: connection, **where)
            if tls is not None:
                connection.stamp = tls.version
                tls.check(connection.transport.get_extra_info("ssl_object"))
        except OSError as error:
            connection.discard()
            raise connecting(error) from error
        except BaseException:
            connection.discard()
            raise
        connection.dies = self.connections.expiry()
        self.connections.add(connection)
        return connection

    def _sweep_again(self) -> None:
        self.sweep()
        alive = any(pool.open for pool in self._pools())
        self._sweeper = self._loop.call_later(SWEEP, self._sweep_again) if alive else None

    def _reap(self) -> None:
        for stream in self.bodies.orphans():
            stream.close()

    def drop_all(self) -> None:
        """Keep no connection any more: idle ones close now, the others with the call that has them."""
        for task in list(self._warming):
            task.cancel()
        self._reap()
        self._retire()

    async def aclose(self) -> None:
        """The same, and let the loop see the ends of what closed: it may be closed next itself."""
        self.drop_all()
        await asyncio.sleep(0)


def _framed(write: Callable[..., bytes], *part: bytes) -> bytes:
    try:
        return write(*part)
    except RefusedRequest as error:
        raise LeanError("LocalProtocolError", str(error)) from error


async def _each(parts: Any) -> AsyncIterator[bytes]:
    if isinstance(parts, tuple):
        for part in parts:
            yield part
    else:
        async for part in parts:
            yield part

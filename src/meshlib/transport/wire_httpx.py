"""The httpx wire: one httpcore pool an endpoint, connected through our own network backend.

The pool is told the node's address; the request keeps its own Host header and asks for its own name in TLS, so the server
cannot tell that a balancer chose it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import httpcore
import httpx

from meshlib.transport.backend import Backend
from meshlib.transport.backend_aio import AsyncBackend
from meshlib.transport.body import AsyncLeasedBody, LeasedBody, OpenBodies
from meshlib.transport.connections import Connections
from meshlib.transport.outgoing import loosened, outgoing
from meshlib.transport.pool_options import PoolOptions
from meshlib.transport.response import MeshResponse
from meshlib.transport.translate import HTTPCORE_ERRORS, translate
from meshlib.transport.wire import Timeouts
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.node import Node

__all__ = ["AsyncHttpxWire", "HttpxWire"]

Pool = TypeVar("Pool", httpcore.ConnectionPool, httpcore.AsyncConnectionPool)


class _Pools(Generic[Pool]):
    """The pools of one wire, by node and whether they speak TLS.

    A retired wire goes on serving the calls that have it; each of its connections closes as soon as it is idle.
    """

    def __init__(self, options: PoolOptions, clock: Callable[[], float]) -> None:
        self.options = options
        self.clock = clock
        self.connections: Connections = Connections(clock, options.max_age)
        self.bodies: OpenBodies = OpenBodies(clock, self._over)
        self._pools: dict[tuple[Node, bytes], Pool] = {}
        self._context: ssl.SSLContext | None = None
        fork.watch(self)

    def after_in_child(self) -> None:
        """Neither pools nor leases are this process's; the descriptors are let go by `connections`."""
        self.bodies.forked = True
        fork.abandon(self._pools, self.bodies)
        self._pools = {}

    def _pool(self, node: Node, scheme: bytes) -> Pool:
        pool = self._pools.get((node, scheme))
        if pool is None:
            if scheme == b"https" and self._context is None:
                self._context = self.options.ssl_context()
            # Two threads may both make one; the one that is not kept holds no connection yet.
            pool = self._pools.setdefault(
                (node, scheme), self._made(self._context if scheme == b"https" else None)
            )
        return pool

    def _made(self, context: ssl.SSLContext | None) -> Pool:
        raise NotImplementedError

    def _over(self) -> None:
        """A body was closed."""
        raise NotImplementedError

    def _taken(self, node: Node) -> list[Pool]:
        return [self._pools.pop(key) for key in list(self._pools) if key[0] is node]

    def _idle(self) -> list[Any]:
        return [one for pool in list(self._pools.values()) for one in pool.connections if one.is_idle()]


class HttpxWire(_Pools[httpcore.ConnectionPool]):
    """For threads."""

    def __init__(self, options: PoolOptions, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(options, clock)
        self._backend = Backend(self.connections)

    def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """See `transport.wire.Wire`."""
        if self.bodies.orphaned:
            self._reap()
        pool = self._pool(attempt.node, request.url.raw_scheme)
        sent, bounds = outgoing(attempt, request, timeouts, self.clock())
        try:
            reply = pool.handle_request(sent)
            attempt.head = self.clock()
            if whole:
                try:
                    content = b"".join(cast("Iterable[bytes]", reply.stream))
                finally:
                    reply.close()
        except HTTPCORE_ERRORS as error:
            raise translate(error, request) from error
        if whole:
            if self.connections.retired:
                self._over()
            return _response(reply, attempt, httpx.ByteStream(content))
        loosened(bounds, attempt, self.clock())
        return _response(reply, attempt, LeasedBody(reply.stream, attempt, request, self.bodies, translate))

    def _made(self, context: ssl.SSLContext | None) -> httpcore.ConnectionPool:
        return self.options.pool(context, self._backend)

    def _over(self) -> None:
        if self.connections.retired:
            for connection in self._idle():
                connection.close()

    def _reap(self) -> None:
        for stream in self.bodies.orphans():
            stream.close()

    def drop(self, node: Node) -> None:
        """Close the node's connections."""
        for pool in self._taken(node):
            pool.close()

    def close(self) -> None:
        """Keep no connection any more: idle ones close now, the others with the call that has them."""
        self.connections.retired = True
        self._reap()
        self._over()


class AsyncHttpxWire(_Pools[httpcore.AsyncConnectionPool]):
    """For one event loop."""

    def __init__(self, options: PoolOptions, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(options, clock)
        self._backend = AsyncBackend(self.connections)
        self._closing: set[asyncio.Task[None]] = set()

    async def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """See `transport.wire.AsyncWire`."""
        if self.bodies.orphaned:
            self._soon(self._reap())
        pool = self._pool(attempt.node, request.url.raw_scheme)
        sent, bounds = outgoing(attempt, request, timeouts, self.clock())
        try:
            reply = await pool.handle_async_request(sent)
            attempt.head = self.clock()
            if whole:
                try:
                    parts = cast("AsyncIterable[bytes]", reply.stream)
                    content = b"".join([part async for part in parts])
                finally:
                    await reply.aclose()
        except HTTPCORE_ERRORS as error:
            raise translate(error, request) from error
        if whole:
            if self.connections.retired:
                self._over()
            return _response(reply, attempt, httpx.ByteStream(content))
        loosened(bounds, attempt, self.clock())
        return _response(
            reply, attempt, AsyncLeasedBody(reply.stream, attempt, request, self.bodies, translate)
        )

    def _made(self, context: ssl.SSLContext | None) -> httpcore.AsyncConnectionPool:
        return self.options.async_pool(context, self._backend)

    def _over(self) -> None:
        if self.connections.retired:
            self._soon(self._sweep())

    async def _sweep(self) -> None:
        for connection in self._idle():
            await connection.aclose()

    async def _reap(self) -> None:
        for stream in self.bodies.orphans():
            await stream.aclose()

    def drop(self, node: Node) -> None:
        """Close the node's connections, in a task of this loop."""
        for pool in self._taken(node):
            self._soon(pool.aclose())

    def drop_all(self) -> None:
        """`aclose`, in a task of this loop."""
        self._soon(self.aclose())

    def _soon(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Keep no connection any more: idle ones close now, the others with the call that has them."""
        self.connections.retired = True
        await self._reap()
        await self._sweep()


def _response(reply: httpcore.Response, attempt: Attempt, stream: Any) -> httpx.Response:
    return MeshResponse(
        attempt, status_code=reply.status, headers=reply.headers, stream=stream, extensions=reply.extensions
    )

"""The httpx wire: one pool of httpcore's (or httpcore2's) an endpoint, connected through our own network backend.

The pool is told the service's URL and its backend the node's address; the request keeps its own Host header and asks for its
own name in TLS, so neither the server nor a tool that has patched the pools can tell that a balancer chose the node.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from meshlib.engine.call import BUFFERED
from meshlib.transport.backend import Backend
from meshlib.transport.backend_aio import AsyncBackend
from meshlib.transport.body import OpenBodies
from meshlib.transport.connections import Connections
from meshlib.transport.handshake import Handshakes
from meshlib.transport.outgoing import loosened, outgoing
from meshlib.transport.pool_options import PoolOptions
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.node import Node
    from meshlib.security.secured import ServiceSecurity
    from meshlib.transport.binding import Binding
    from meshlib.transport.handshake import Tls
    from meshlib.transport.pooling import Pooling

__all__ = ["AsyncHttpxWire", "HttpxWire"]

_GRACE = 0.5
"""Seconds. A thread that was given an idle connection has not begun to use it yet for some microseconds, in which the pools
take it for idle still: closed then, it would fail a request, or read from a file descriptor that is another's by now."""


class _Pools:
    """The pools of one wire, by node and whether they speak TLS.

    A retired wire goes on serving the calls that have it; each of its connections closes as soon as it is idle.
    """

    def __init__(
        self,
        binding: Binding,
        options: PoolOptions,
        clock: Callable[[], float],
        security: Callable[[], ServiceSecurity | None],
    ) -> None:
        self.binding = binding
        self.pooling: Pooling = binding.pooling
        self.options = options
        self.clock = clock
        self.connections: Connections = Connections(clock, options.max_age)
        self.bodies: OpenBodies = OpenBodies(clock, self._over)
        # Contexts that nobody else has: the pools' library sets ALPN on what it is given.
        self.handshakes: Handshakes = Handshakes(binding, security, options.ssl_context, ())
        self.connections.version = lambda: self.handshakes.version
        self._pools: dict[tuple[Node, int | None], Any] = {}
        self._aside: list[tuple[float, Any]] = []
        """Pools of older identities that have connections still, and when their idle ones may be closed."""
        fork.watch(self)

    def after_in_child(self) -> None:
        """Neither pools nor leases are this process's; the descriptors are let go by `connections`."""
        self.bodies.forked = True
        fork.abandon(self._pools, self._aside, self.bodies)
        self._pools, self._aside = {}, []

    def _pool(self, node: Node, tls: Tls | None) -> Any:
        version = None if tls is None else tls.version
        pool = self._pools.get((node, version))
        if pool is None:
            if tls is not None:
                self._rotated(node, tls.version)
            # Two threads may both make one; the one that is not kept holds no connection yet.
            pool = self._pools.setdefault(
                (node, version), self._made(node, None if tls is None else tls.context)
            )
        return pool

    def _rotated(self, node: Node, version: int) -> None:
        """Let go of the pools of older identities: idle connections close now, the others with the call that has them."""
        kept = (
            None,
            version,
            self.handshakes.version,
        )  # a thread that was slow to come here must not drop the newest
        for key in list(self._pools):
            if key[0] is node and key[1] not in kept:
                pool = self._pools.pop(key, None)
                if pool is not None:
                    self._aside.append((self.clock() + self.connections.grace, pool))
        self._tidy()

    def _tidy(self) -> None:
        """Close what has become idle in the pools of older identities, and forget the empty ones."""
        now = self.clock()
        for one in list(self._aside):
            due, pool = one
            if now < due:
                continue
            self._shut([connection for connection in pool.connections if connection.is_idle()])
            if all(connection.is_closed() for connection in pool.connections):
                try:
                    self._aside.remove(one)
                except ValueError:
                    pass  # another thread was faster

    def _made(self, node: Node, context: ssl.SSLContext | None) -> Any:
        raise NotImplementedError

    def _address(self, node: Node) -> tuple[str, int] | None:
        """Where the node's connections go; through a proxy they go to the proxy."""
        if self.options.proxy is not None:
            return None
        host, port = node.endpoint.host, node.endpoint.port
        if not host.isascii():
            host = self.pooling.family.URL(host=host).raw_host.decode("ascii")
        return host, port

    def _shut(self, connections: list[Any]) -> None:
        raise NotImplementedError

    def _over(self) -> None:
        """A body was closed."""
        raise NotImplementedError

    def _taken(self, node: Node) -> list[Any]:
        return [self._pools.pop(key) for key in list(self._pools) if key[0] is node]

    def _idle(self) -> list[Any]:
        pools = list(self._pools.values()) + [pool for _, pool in self._aside]
        return [one for pool in pools for one in pool.connections if one.is_idle()]


class HttpxWire(_Pools):
    """For threads."""

    def __init__(
        self,
        binding: Binding,
        options: PoolOptions,
        clock: Callable[[], float] = time.monotonic,
        security: Callable[[], ServiceSecurity | None] = lambda: None,
    ) -> None:
        super().__init__(binding, options, clock, security)
        self.connections.grace = _GRACE

    def send(self, attempt: Attempt, request: Any) -> Any:
        """See `transport.wire.Wire`."""
        if self.bodies.orphaned:
            self._reap()
        if self._aside:
            self._tidy()
        tls = self.handshakes.of(attempt, request)
        pool = self._pool(attempt.node, tls)
        binding, pooling = self.binding, self.pooling
        whole = attempt.call.flags & BUFFERED
        sent, bounds = outgoing(pooling, attempt, request, tls, self.clock())
        try:
            reply = pool.handle_request(sent)
            attempt.head = self.clock()
            if whole:
                try:
                    content = b"".join(reply.stream)
                finally:
                    reply.close()
        except pooling.errors as error:
            raise pooling.translate(error, request) from error
        if whole:
            if self.connections.retired:
                self._over()
            stream = binding.ByteStream(content)
        else:
            loosened(bounds, attempt, self.clock())
            stream = binding.leased(reply.stream, attempt, request, self.bodies, pooling.translate)
        return binding.response(attempt, reply.status, reply.headers, stream, reply.extensions)

    def _made(self, node: Node, context: ssl.SSLContext | None) -> Any:
        backend = Backend(self.pooling.module, self.connections, self._address(node))
        return self.options.pool(self.pooling, context, backend)

    def _over(self) -> None:
        if self.connections.retired:
            self._shut(self._idle())

    def _shut(self, connections: list[Any]) -> None:
        for connection in connections:
            if connection.is_idle():  # else another thread was faster
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


class AsyncHttpxWire(_Pools):
    """For one event loop."""

    def __init__(
        self,
        binding: Binding,
        options: PoolOptions,
        clock: Callable[[], float] = time.monotonic,
        security: Callable[[], ServiceSecurity | None] = lambda: None,
    ) -> None:
        super().__init__(binding, options, clock, security)
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, attempt: Attempt, request: Any) -> Any:
        """See `transport.wire.AsyncWire`."""
        if self.bodies.orphaned:
            self._soon(self._reap())
        if self._aside:
            self._tidy()
        tls = self.handshakes.of(attempt, request)
        pool = self._pool(attempt.node, tls)
        binding, pooling = self.binding, self.pooling
        whole = attempt.call.flags & BUFFERED
        sent, bounds = outgoing(pooling, attempt, request, tls, self.clock())
        try:
            reply = await pool.handle_async_request(sent)
            attempt.head = self.clock()
            if whole:
                try:
                    content = b"".join([part async for part in reply.stream])
                finally:
                    await reply.aclose()
        except pooling.errors as error:
            raise pooling.translate(error, request) from error
        if whole:
            if self.connections.retired:
                self._over()
            stream = binding.ByteStream(content)
        else:
            loosened(bounds, attempt, self.clock())
            stream = binding.async_leased(reply.stream, attempt, request, self.bodies, pooling.translate)
        return binding.response(attempt, reply.status, reply.headers, stream, reply.extensions)

    def _made(self, node: Node, context: ssl.SSLContext | None) -> Any:
        backend = AsyncBackend(self.pooling.module, self.connections, self._address(node))
        return self.options.async_pool(self.pooling, context, backend)

    def _over(self) -> None:
        if self.connections.retired:
            self._shut(self._idle())

    def _shut(self, connections: list[Any]) -> None:
        self._soon(self._closed(connections))

    async def _closed(self, connections: list[Any]) -> None:
        for connection in connections:
            if connection.is_idle():  # else a call has it since this was asked for
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
        await self._closed(self._idle())

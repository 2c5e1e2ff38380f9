"""The httpx wire: one httpcore pool an endpoint, connected through our own network backend.

The pool is told the node's address; the request keeps its own Host header and asks for its own name in TLS, so the server
cannot tell that a balancer chose it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from meshlib.core.deadline import NEVER
from meshlib.transport.backend import Backend
from meshlib.transport.backend_aio import AsyncBackend
from meshlib.transport.body import AsyncLeasedBody, LeasedBody
from meshlib.transport.bound import Bound
from meshlib.transport.response import MeshResponse
from meshlib.transport.wire import Timeouts

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.node import Node

__all__ = ["AsyncHttpxWire", "HttpxWire", "PoolOptions", "translate"]

_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_TRANSLATED = (
    "ConnectTimeout",
    "ReadTimeout",
    "WriteTimeout",
    "PoolTimeout",
    "ConnectError",
    "ReadError",
    "WriteError",
    "ProxyError",
    "UnsupportedProtocol",
    "LocalProtocolError",
    "RemoteProtocolError",
)


class PoolOptions:
    """What every pool of one wire is made with. `proxy` is a URL, for hosts that are passed through."""

    __slots__ = ("http1", "http2", "idle", "max_age", "max_connections", "proxy", "ssl_context")

    def __init__(
        self,
        *,
        max_connections: int | None = 1024,
        idle: float | None = 55.0,
        max_age: Callable[[], float] | None = None,
        http1: bool = True,
        http2: bool = False,
        ssl_context: Callable[[], ssl.SSLContext] = httpx.create_ssl_context,
        proxy: str | None = None,
    ) -> None:
        self.max_connections = max_connections
        self.idle = idle
        self.max_age = max_age
        self.http1 = http1
        self.http2 = http2
        self.ssl_context = ssl_context
        self.proxy = proxy

    def arguments(self) -> dict[str, Any]:
        """For httpcore's pool classes."""
        return {
            "max_connections": self.max_connections,
            "max_keepalive_connections": self.max_connections,
            "keepalive_expiry": self.idle,
            "http1": self.http1,
            "http2": self.http2,
        }


class _Pools:
    """The pools of one wire, by node and whether they speak TLS."""

    def __init__(self, options: PoolOptions, clock: Callable[[], float]) -> None:
        self.options = options
        self.clock = clock
        self.pools: dict[tuple[Node, bytes], Any] = {}
        self._context: ssl.SSLContext | None = None

    def context(self, scheme: bytes) -> ssl.SSLContext | None:
        if scheme != b"https":
            return None
        if self._context is None:
            self._context = self.options.ssl_context()
        return self._context

    def taken(self, node: Node) -> list[Any]:
        return [self.pools.pop(key) for key in list(self.pools) if key[0] is node]


class HttpxWire(_Pools):
    """For threads."""

    def __init__(self, options: PoolOptions, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(options, clock)
        self._backend = Backend(clock, options.max_age)

    def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """See `transport.wire.Wire`."""
        pool = self._pool(attempt.node, request.url.raw_scheme)
        outgoing, bounds = _outgoing(attempt, request, timeouts, self.clock())
        try:
            reply = pool.handle_request(outgoing)
            attempt.head = self.clock()
            if whole:
                try:
                    content = b"".join(reply.iter_stream())
                finally:
                    reply.close()
                return _response(reply, attempt, request, httpx.ByteStream(content))
        except _HTTPCORE_ERRORS as error:
            raise translate(error, request) from error
        _loosen(bounds, attempt, self.clock())
        body = LeasedBody(reply.stream, attempt, request, self.clock, translate)
        return _response(reply, attempt, request, body)

    def _pool(self, node: Node, scheme: bytes) -> httpcore.ConnectionPool:
        key = (node, scheme)
        pool = self.pools.get(key)
        if pool is None:
            arguments = {
                "ssl_context": self.context(scheme),
                "network_backend": self._backend,
                **self.options.arguments(),
            }
            made: Any
            if self.options.proxy is None:
                made = httpcore.ConnectionPool(**arguments)
            else:
                made = httpcore.HTTPProxy(self.options.proxy, **arguments)
            pool = self.pools.setdefault(key, made)
        found: httpcore.ConnectionPool = pool
        return found

    def drop(self, node: Node) -> None:
        """Close the node's connections."""
        for pool in self.taken(node):
            pool.close()

    def close(self) -> None:
        """Close everything."""
        while self.pools:
            self.pools.popitem()[1].close()


class AsyncHttpxWire(_Pools):
    """For one event loop."""

    def __init__(self, options: PoolOptions, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(options, clock)
        self._backend = AsyncBackend(clock, options.max_age)
        self._closing: set[asyncio.Task[None]] = set()

    async def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """See `transport.wire.AsyncWire`."""
        pool = self._pool(attempt.node, request.url.raw_scheme)
        outgoing, bounds = _outgoing(attempt, request, timeouts, self.clock())
        try:
            reply = await pool.handle_async_request(outgoing)
            attempt.head = self.clock()
            if whole:
                try:
                    content = b"".join([part async for part in reply.aiter_stream()])
                finally:
                    await reply.aclose()
                return _response(reply, attempt, request, httpx.ByteStream(content))
        except _HTTPCORE_ERRORS as error:
            raise translate(error, request) from error
        _loosen(bounds, attempt, self.clock())
        body = AsyncLeasedBody(reply.stream, attempt, request, self.clock, translate)
        return _response(reply, attempt, request, body)

    def _pool(self, node: Node, scheme: bytes) -> httpcore.AsyncConnectionPool:
        key = (node, scheme)
        pool = self.pools.get(key)
        if pool is None:
            arguments = {
                "ssl_context": self.context(scheme),
                "network_backend": self._backend,
                **self.options.arguments(),
            }
            if self.options.proxy is None:
                pool = httpcore.AsyncConnectionPool(**arguments)
            else:
                pool = httpcore.AsyncHTTPProxy(self.options.proxy, **arguments)
            self.pools[key] = pool
        found: httpcore.AsyncConnectionPool = pool
        return found

    def drop(self, node: Node) -> None:
        """Close the node's connections, in a task of this loop."""
        for pool in self.taken(node):
            self._soon(pool.aclose())

    def drop_all(self) -> None:
        """Close everything, in a task of this loop."""
        self._soon(self.aclose())

    def _soon(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Close everything."""
        while self.pools:
            await self.pools.popitem()[1].aclose()


def translate(error: BaseException, request: httpx.Request) -> BaseException:
    """httpcore's error as httpx's of the same name; anything else unchanged."""
    for kind in type(error).__mro__:
        if kind.__name__ in _TRANSLATED and kind.__module__.startswith("httpcore"):
            translated: type[httpx.TransportError] = getattr(httpx, kind.__name__)
            return translated(str(error), request=request)
    return error


_HTTPCORE_ERRORS = tuple(getattr(httpcore, name) for name in _TRANSLATED)


def _outgoing(
    attempt: Attempt, request: httpx.Request, timeouts: Timeouts, now: float
) -> tuple[httpcore.Request, tuple[Bound, ...]]:
    url, node, plan = request.url, attempt.node, attempt.call.plan
    scheme = url.raw_scheme
    connect = timeouts.get("connect")
    bounds = {
        "connect": Bound.of(min(plan.connect_timeout, NEVER if connect is None else connect), attempt, now),
        "read": Bound.of(timeouts.get("read"), attempt, now),
        "write": Bound.of(timeouts.get("write"), attempt, now),
        "pool": Bound.of(timeouts.get("pool"), attempt, now),
    }
    extensions = {**request.extensions, "timeout": bounds}
    if scheme == b"https":
        extensions.setdefault("sni_hostname", url.host)
    headers = request.headers.raw
    if attempt.headers:
        headers = [*headers, *((k.encode("ascii"), v.encode("latin-1")) for k, v in attempt.headers.items())]
    outgoing = httpcore.Request(
        request.method,
        httpcore.URL(
            scheme=scheme,
            host=node.endpoint.host.encode("ascii"),
            port=node.endpoint.port or url.port or _DEFAULT_PORTS.get(scheme),
            target=url.raw_path,
        ),
        headers=headers,
        content=request.stream,
        extensions=extensions,
    )
    return outgoing, (bounds["read"], bounds["write"])


def _loosen(bounds: tuple[Bound, ...], attempt: Attempt, now: float) -> None:
    """After the head of a streamed response only the read timeout between chunks and `stream_timeout` hold."""
    stream_timeout = attempt.call.plan.stream_timeout
    for bound in bounds:
        bound.until = NEVER if stream_timeout is None else now + stream_timeout


def _response(
    reply: httpcore.Response, attempt: Attempt, request: httpx.Request, stream: Any
) -> httpx.Response:
    return MeshResponse(
        attempt, status_code=reply.status, headers=reply.headers, stream=stream, extensions=reply.extensions
    )

"""The user's own httpx transport as a wire: `Client(transport=...)`, `mounts` and `proxy=` keep policy, and the wire they chose.

The node is written into the URL only when a discovery gave it; a call to the URL's own host goes out as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from meshlib.core.deadline import NEVER
from meshlib.engine.attempt import Attempt
from meshlib.engine.node import Node
from meshlib.transport.body import AsyncLeasedBody, LeasedBody, OpenBodies
from meshlib.transport.outgoing import DEFAULT_PORTS, with_headers
from meshlib.transport.response import annotate
from meshlib.transport.wire import Timeouts

__all__ = ["AsyncForeignWire", "ForeignWire"]


class ForeignWire:
    """Over an httpx.BaseTransport, which stays the user's: closed with the client, as in httpx."""

    def __init__(self, transport: httpx.BaseTransport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._bodies = OpenBodies(clock)

    def enter(self) -> None:
        """As httpx does for the transports of a client in a `with` block."""
        self._transport.__enter__()

    def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """See `transport.wire.Wire`."""
        for orphan in self._bodies.orphans():
            orphan.close()
        outgoing = addressed(attempt, request, timeouts, self._clock())
        attempt.sent = True
        response = self._transport.handle_request(outgoing)
        attempt.head = self._clock()
        stream = response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        if isinstance(stream, httpx.ByteStream):
            pass  # all of it is here already: nothing will be read, and often nobody closes it
        elif whole:
            try:
                response.stream = httpx.ByteStream(b"".join(stream))
            finally:
                stream.close()
        else:
            response.stream = LeasedBody(stream, attempt, request, self._bodies, _unchanged)
        return annotate(response, attempt)

    def drop(self, node: Node) -> None:
        """Nothing is kept by node."""

    def close(self) -> None:
        """Close the user's transport, as httpx does."""
        self._transport.close()


class AsyncForeignWire:
    """Over an httpx.AsyncBaseTransport."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._bodies = OpenBodies(clock)

    async def enter(self) -> None:
        """As httpx does for the transports of a client in an `async with` block."""
        await self._transport.__aenter__()

    async def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """See `transport.wire.AsyncWire`."""
        for orphan in self._bodies.orphans():
            await orphan.aclose()
        outgoing = addressed(attempt, request, timeouts, self._clock())
        attempt.sent = True
        response = await self._transport.handle_async_request(outgoing)
        attempt.head = self._clock()
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        if isinstance(stream, httpx.ByteStream):
            pass
        elif whole:
            try:
                response.stream = httpx.ByteStream(b"".join([part async for part in stream]))
            finally:
                await stream.aclose()
        else:
            response.stream = AsyncLeasedBody(stream, attempt, request, self._bodies, _unchanged)
        return annotate(response, attempt)

    def drop(self, node: Node) -> None:
        """Nothing is kept by node."""

    async def aclose(self) -> None:
        """Close the user's transport, as httpx does."""
        await self._transport.aclose()


def addressed(attempt: Attempt, request: httpx.Request, timeouts: Timeouts, now: float) -> httpx.Request:
    """The request as the wire gets it: the node's address, every timeout clamped to the attempt's, listeners' headers."""
    left, most = max(0.001, attempt.until - now), attempt.call.plan.connect_timeout
    clamped = {kind: _sooner(timeouts.get(kind), left) for kind in ("read", "write", "pool")}
    clamped["connect"] = _sooner(timeouts.get("connect"), min(left, most))
    extensions = {**request.extensions, "timeout": clamped}
    url, endpoint = request.url, attempt.node.endpoint
    standard = DEFAULT_PORTS.get(url.raw_scheme)
    port = endpoint.port or url.port or standard
    if (endpoint.host, port) != (url.host, url.port or standard):
        extensions.setdefault("sni_hostname", url.raw_host.decode("ascii").rstrip("."))
        url = url.copy_with(host=endpoint.host, port=port)
    return httpx.Request(
        request.method,
        url,
        headers=with_headers(attempt, request),
        stream=request.stream,
        extensions=extensions,
    )


def _sooner(own: float | None, left: float) -> float | None:
    if left == NEVER:
        return own
    return left if own is None else min(own, left)


def _unchanged(error: BaseException, request: httpx.Request) -> BaseException:
    return error

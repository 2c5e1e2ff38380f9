"""The user's own httpx transport as a wire: `Client(transport=...)`, `mounts` and `proxy=` keep policy, and the wire they chose.

The node is written into the URL only when a discovery gave it; a call to the URL's own host goes out as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from meshlib.engine.attempt import Attempt
from meshlib.engine.node import Node
from meshlib.transport.body import AsyncLeasedBody, LeasedBody
from meshlib.transport.response import annotate
from meshlib.transport.wire import Timeouts

__all__ = ["AsyncForeignWire", "ForeignWire"]


class ForeignWire:
    """Over an httpx.BaseTransport, which stays the user's: closed with the client, as in httpx."""

    def __init__(self, transport: httpx.BaseTransport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock

    def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """See `transport.wire.Wire`."""
        outgoing = addressed(attempt, request, timeouts, self._clock())
        attempt.sent = True
        response = self._transport.handle_request(outgoing)
        attempt.head = self._clock()
        stream = response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        if whole:
            try:
                response.stream = httpx.ByteStream(b"".join(stream))
            finally:
                stream.close()
        else:
            response.stream = LeasedBody(stream, attempt, request, self._clock, _unchanged)
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

    async def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """See `transport.wire.AsyncWire`."""
        outgoing = addressed(attempt, request, timeouts, self._clock())
        attempt.sent = True
        response = await self._transport.handle_async_request(outgoing)
        attempt.head = self._clock()
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        if whole:
            try:
                response.stream = httpx.ByteStream(b"".join([part async for part in stream]))
            finally:
                await stream.aclose()
        else:
            response.stream = AsyncLeasedBody(stream, attempt, request, self._clock, _unchanged)
        return annotate(response, attempt)

    def drop(self, node: Node) -> None:
        """Nothing is kept by node."""

    async def aclose(self) -> None:
        """Close the user's transport, as httpx does."""
        await self._transport.aclose()


def addressed(attempt: Attempt, request: httpx.Request, timeouts: Timeouts, now: float) -> httpx.Request:
    """The request as the wire gets it: the node's address, every timeout clamped to the attempt's, listeners' headers."""
    left = max(0.001, attempt.until - now)
    clamped = {kind: min(left, left if value is None else value) for kind, value in timeouts.items()}
    extensions = {**request.extensions, "timeout": clamped}
    url, endpoint = request.url, attempt.node.endpoint
    if (endpoint.host, endpoint.port or url.port) != (url.host, url.port):
        extensions.setdefault("sni_hostname", url.host)
        url = url.copy_with(host=endpoint.host, port=endpoint.port or url.port)
    outgoing = httpx.Request(
        request.method, url, headers=request.headers, stream=request.stream, extensions=extensions
    )
    for name, value in (attempt.headers or {}).items():
        outgoing.headers[name] = value
    return outgoing


def _unchanged(error: BaseException, request: httpx.Request) -> BaseException:
    return error

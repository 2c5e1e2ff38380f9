"""The user's own transport as a wire: `Client(transport=...)`, `mounts` and `proxy=` keep policy, and the wire they chose.

The node is written into the URL only when a discovery gave it; a call to the URL's own host goes out as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import NEVER
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import BUFFERED
from meshlib.engine.node import Node
from meshlib.transport.body import OpenBodies
from meshlib.transport.outgoing import DEFAULT_PORTS, with_headers
from meshlib.transport.response import annotate

if TYPE_CHECKING:
    from meshlib.transport.binding import Binding

__all__ = ["AsyncForeignWire", "ForeignWire"]


class ForeignWire:
    """Over a BaseTransport of the family's, which stays the user's: closed with the client, as in the family."""

    def __init__(self, binding: Binding, transport: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._binding = binding
        self._transport = transport
        self._clock = clock
        self._bodies = OpenBodies(clock)

    def enter(self) -> None:
        """As the family does for the transports of a client in a `with` block."""
        self._transport.__enter__()

    def send(self, attempt: Attempt, request: Any) -> Any:
        """See `transport.wire.Wire`."""
        for orphan in self._bodies.orphans():
            orphan.close()
        binding = self._binding
        outgoing = addressed(binding, attempt, request, self._clock())
        attempt.sent = True
        response = self._transport.handle_request(outgoing)
        attempt.head = self._clock()
        binding.border.response(response, binding.SyncByteStream)
        stream = response.stream
        if isinstance(stream, binding.ByteStream):
            pass  # all of it is here already: nothing will be read, and often nobody closes it
        elif attempt.call.flags & BUFFERED:
            try:
                response.stream = binding.ByteStream(b"".join(stream))
            finally:
                stream.close()
        else:
            response.stream = binding.leased(stream, attempt, request, self._bodies, _unchanged)
        return annotate(response, attempt)

    def drop(self, node: Node) -> None:
        """Nothing is kept by node."""

    def close(self) -> None:
        """Close the user's transport, as the family does."""
        self._transport.close()


class AsyncForeignWire:
    """Over an AsyncBaseTransport of the family's, which stays the user's: closed with the client, as in the family."""

    def __init__(self, binding: Binding, transport: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._binding = binding
        self._transport = transport
        self._clock = clock
        self._bodies = OpenBodies(clock)

    async def enter(self) -> None:
        """As the family does for the transports of a client in an `async with` block."""
        await self._transport.__aenter__()

    async def send(self, attempt: Attempt, request: Any) -> Any:
        """See `transport.wire.AsyncWire`."""
        for orphan in self._bodies.orphans():
            await orphan.aclose()
        binding = self._binding
        outgoing = addressed(binding, attempt, request, self._clock())
        attempt.sent = True
        response = await self._transport.handle_async_request(outgoing)
        attempt.head = self._clock()
        binding.border.response(response, binding.AsyncByteStream)
        stream = response.stream
        if isinstance(stream, binding.ByteStream):
            pass
        elif attempt.call.flags & BUFFERED:
            try:
                response.stream = binding.ByteStream(b"".join([part async for part in stream]))
            finally:
                await stream.aclose()
        else:
            response.stream = binding.async_leased(stream, attempt, request, self._bodies, _unchanged)
        return annotate(response, attempt)

    def drop(self, node: Node) -> None:
        """Nothing is kept by node."""

    def drop_all(self) -> None:
        """Nothing is pooled here; the user's transport closes with the client."""

    async def aclose(self) -> None:
        """Close the user's transport, as the family does."""
        await self._transport.aclose()


def addressed(binding: Binding, attempt: Attempt, request: Any, now: float) -> Any:
    """The request as the wire gets it: the node's address, every timeout clamped to the attempt's, listeners' headers."""
    timeouts = request.extensions.get("timeout") or {}
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
    return binding.Request(
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


def _unchanged(error: BaseException, request: Any) -> BaseException:
    return error

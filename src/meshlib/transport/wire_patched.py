"""An attempt seen through the family's own HTTPTransport, made while somebody has patched `handle_request` of that class.

The patched function is called with a transport that is one of the family's in every respect but its pool, which is a wire of
ours. So a tracer that calls on ends in our wire, once an attempt; a mock that answers itself never reaches it. Tools are shown
the request as the caller wrote it, under the service's name: which node was picked changes from attempt to attempt, and a
mock or a cassette must not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshlib.engine.call import BUFFERED
from meshlib.transport.blind import warn_of_silent_hooks
from meshlib.transport.body import OpenBodies
from meshlib.transport.outgoing import with_headers
from meshlib.transport.response import annotate

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.transport.binding import Binding
    from meshlib.transport.wire import AsyncWire, Wire

__all__ = ["AsyncPatchedWire", "PatchedWire"]


class _Reply:
    """What a pool of httpcore's answers, as far as the family's transports read it."""

    __slots__ = ("extensions", "headers", "status", "stream")

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers: list[tuple[bytes, bytes]] = response.headers.raw
        self.stream: Any = response.stream
        self.extensions: dict[str, Any] = response.extensions


class _Seen:
    """One attempt on its way through a patched transport, in the place of that transport's pool."""

    __slots__ = ("_attempt", "_binding", "_send", "leased", "reached", "shown")

    def __init__(self, binding: Binding, send: Callable[..., Any], attempt: Attempt, request: Any) -> None:
        self._binding = binding
        self._send = send
        self._attempt = attempt
        self.reached: bool = False
        """Whether the tool let the request go on to the wire."""
        self.leased: bool = False
        """Whether the wire answered with a body that holds the attempt's lease."""
        # A copy, because tools change headers and streams, and the caller's request is sent again by the next attempt.
        self.shown: Any = binding.Request(
            request.method,
            request.url,
            headers=with_headers(attempt, request),
            stream=request.stream,
            extensions=dict(request.extensions),
        )
        if hasattr(request, "_content"):
            self.shown._content = request.content
        # They are in `shown` now; what a tool puts in their place (its own span's traceparent) is not to be overwritten.
        attempt.headers = None

    def transport(self, kind: Any, method: str) -> Any:
        """An instance of the family's transport class `kind` with this as its pool. It opens nothing, so nobody closes it."""
        if self._attempt.context is not None:
            warn_of_silent_hooks(vars(kind).get(method))
        made = object.__new__(kind)
        made._pool = self
        return made

    def handle_request(self, asked: Any) -> _Reply:
        """Called by the family's HTTPTransport, with httpcore's request."""
        return self._answered(self._send(self._attempt, self._passed(asked)))

    async def handle_async_request(self, asked: Any) -> _Reply:
        """Called by the family's AsyncHTTPTransport."""
        return self._answered(await self._send(self._attempt, self._passed(asked)))

    def _passed(self, asked: Any) -> Any:
        """The family's request again: headers and stream as the tool left them."""
        self.reached = True
        return self._binding.Request(
            asked.method.decode("ascii"),
            self._url(asked),
            headers=asked.headers,
            stream=asked.stream,
            extensions=asked.extensions,
        )

    def _url(self, asked: Any) -> Any:
        shown, url = self.shown.url, asked.url
        parts = (url.scheme, url.host, url.port, url.target)
        # With the `target` extension httpcore's URL is that of the request line (`OPTIONS *`), and the wire's to write.
        if "target" in asked.extensions or parts == (
            shown.raw_scheme,
            shown.raw_host,
            shown.port,
            shown.raw_path,
        ):
            return shown
        scheme, host = url.scheme.decode("ascii"), url.host.decode("ascii")
        return self._binding.module.URL(scheme=scheme, host=host, port=url.port, raw_path=url.target)

    def _answered(self, response: Any) -> _Reply:
        self.leased = not isinstance(response.stream, self._binding.ByteStream)
        return _Reply(response)


class _Patched:
    """What both kinds do with the tool's answer."""

    def __init__(self, binding: Binding, clock: Callable[[], float]) -> None:
        self._binding = binding
        self._clock = clock
        self._bodies = OpenBodies(clock)

    def _mocked(self, seen: _Seen, attempt: Attempt) -> None:
        """The tool may have answered, or failed, by itself: as far as a retry is concerned the request was sent."""
        if not seen.reached:
            attempt.sent = True

    def _told(self, response: Any, attempt: Attempt, stream: Any) -> Any:
        """The tool's response as one of ours, with the attempt's history. One of a class of its own stays what it is."""
        if type(response) is not self._binding.Response:
            response.stream = stream
            return annotate(response, attempt)
        status, headers, extensions = response.status_code, response.headers, response.extensions
        return self._binding.response(attempt, status, headers, stream, extensions)


class PatchedWire(_Patched):
    """`wire` behind whatever stands in the family's `HTTPTransport.handle_request`. For one call; keeps no connection."""

    def __init__(self, binding: Binding, wire: Wire, clock: Callable[[], float]) -> None:
        super().__init__(binding, clock)
        self._wire = wire

    def send(self, attempt: Attempt, request: Any) -> Any:
        """See `transport.wire.Wire`."""
        binding = self._binding
        seen = _Seen(binding, self._wire.send, attempt, request)
        try:
            transport = seen.transport(binding.module.HTTPTransport, "handle_request")
            response = transport.handle_request(seen.shown)
        finally:
            self._mocked(seen, attempt)
        attempt.head = attempt.head or self._clock()
        stream = response.stream
        if not isinstance(stream, binding.ByteStream):
            if attempt.call.flags & BUFFERED:
                try:
                    content = b"".join(stream)
                finally:
                    stream.close()
                stream = binding.ByteStream(content)
            elif not seen.leased:
                stream = binding.leased(stream, attempt, request, self._bodies, _unchanged)
        return self._told(response, attempt, stream)


class AsyncPatchedWire(_Patched):
    """The same for the family's `AsyncHTTPTransport.handle_async_request`."""

    def __init__(self, binding: Binding, wire: AsyncWire, clock: Callable[[], float]) -> None:
        super().__init__(binding, clock)
        self._wire = wire

    async def send(self, attempt: Attempt, request: Any) -> Any:
        """See `transport.wire.AsyncWire`."""
        binding = self._binding
        seen = _Seen(binding, self._wire.send, attempt, request)
        try:
            transport = seen.transport(binding.module.AsyncHTTPTransport, "handle_async_request")
            response = await transport.handle_async_request(seen.shown)
        finally:
            self._mocked(seen, attempt)
        attempt.head = attempt.head or self._clock()
        stream = response.stream
        if not isinstance(stream, binding.ByteStream):
            if attempt.call.flags & BUFFERED:
                try:
                    content = b"".join([part async for part in stream])
                finally:
                    await stream.aclose()
                stream = binding.ByteStream(content)
            elif not seen.leased:
                stream = binding.async_leased(stream, attempt, request, self._bodies, _unchanged)
        return self._told(response, attempt, stream)


def _unchanged(error: BaseException, request: Any) -> BaseException:
    return error

"""What a lean wire writes for one attempt: the head's bytes, and how its body goes.

A LazyRequest that nobody has touched brings its header lines along, checked when they were made; any other request is written
from its URL and headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshlib.transport.lazy_request import LazyRequest
from meshlib.transport.lean_errors import LeanError
from meshlib.transport.outgoing import with_headers
from meshlib.transport.request_head import (
    CHUNKED,
    NO_BODY,
    RefusedRequest,
    body_framing,
    header_block,
    request_head,
    request_line,
)

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt

__all__ = ["Written", "written"]


class Written:
    """`data` is the head, with the body behind it when that is at hand; otherwise `parts` gives the body, framed by
    `framing` (see `request_head.body_framing`). `waits`: the peer is asked first (Expect: 100-continue); `closes`: the
    request asks for the connection's end."""

    __slots__ = ("closes", "data", "framing", "parts", "waits")

    def __init__(
        self, data: bytes, closes: bool, framing: int = NO_BODY, parts: Any = None, waits: bool = False
    ) -> None:
        self.data: bytes = data
        self.closes: bool = closes
        self.framing: int = framing
        self.parts: Any = parts
        self.waits: bool = waits


def written(attempt: Attempt, request: Any, byte_stream: type[Any]) -> Written:
    """The request of this attempt. Raises LeanError for what must not be written."""
    if isinstance(request, LazyRequest):
        data = _as_made(attempt, request)
        if data is not None:
            return Written(data, False)
    headers = with_headers(attempt, request)
    if headers and headers[0][0].lower() != b"host":
        headers = _host_first(headers)
    try:
        head = request_head(request.method, request.url.raw_path, headers)
        framing = body_framing(headers)
    except RefusedRequest as error:
        raise LeanError("LocalProtocolError", str(error)) from error
    if request.method == "CONNECT" or _says(headers, b"upgrade", b""):
        raise LeanError(
            "LocalProtocolError", 'the lean wire speaks no upgrades and no CONNECT: wire = "httpx" does'
        )
    closes = _says(headers, b"connection", b"close")
    stream = request.stream
    if not isinstance(stream, byte_stream):
        return Written(head, closes, framing, stream, _says(headers, b"expect", b"100-continue"))
    body = b"".join(stream)
    if body and (framing == CHUNKED or _says(headers, b"expect", b"100-continue")):
        return Written(head, closes, framing, (body,), _says(headers, b"expect", b"100-continue"))
    if framing == CHUNKED:
        return Written(head, closes, framing, ())
    if len(body) != framing:
        raise LeanError(
            "LocalProtocolError", f"the body has {len(body)} bytes, and its Content-Length says {framing}"
        )
    return Written(head + body, closes)


def _as_made(attempt: Attempt, request: LazyRequest) -> bytes | None:
    """Head and body of a request that is as our client made it; None when somebody has had their hands on it."""
    target, block, body = request._target, request._block, request._body
    if target is None or block is None or body is None or request.method == "CONNECT":
        return None
    added = attempt.headers
    try:
        if added:
            names, fields = request._names, []
            for name, value in added.items():
                raw = name.lower().encode("ascii")
                if raw in names:
                    return None
                fields.append((raw, value.encode("latin-1")))
            block += header_block(fields)
        return request_line(request.method, target) + block + b"\r\n" + body
    except RefusedRequest as error:
        raise LeanError("LocalProtocolError", str(error)) from error


def _host_first(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """RFC 9110 7.2: Host should be the first field. Clients put their own there, and a caller's where it was written."""
    return sorted(headers, key=lambda field: field[0].lower() != b"host")


def _says(headers: list[tuple[bytes, bytes]], name: bytes, token: bytes) -> bool:
    size = len(name)
    for key, value in headers:  # noqa: SIM110 - a generator costs more than the loop
        if len(key) == size and key.lower() == name and token in value.lower():
            return True
    return False

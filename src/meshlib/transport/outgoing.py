"""An attempt as httpcore's request: the node's address below the request's own Host and TLS name, every timeout a Bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore
import httpx

from meshlib.core.deadline import NEVER
from meshlib.transport.bound import Bound
from meshlib.transport.wire import Timeouts

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt

__all__ = ["DEFAULT_PORTS", "loosened", "outgoing", "with_headers"]

DEFAULT_PORTS = {b"http": 80, b"https": 443}


def outgoing(
    attempt: Attempt, request: httpx.Request, timeouts: Timeouts, now: float
) -> tuple[httpcore.Request, tuple[Bound, Bound]]:
    """The request, and the bounds of its reads and writes, which outlive the head of a streamed response."""
    url, node = request.url, attempt.node
    scheme = url.raw_scheme
    connect = timeouts.get("connect")
    most = attempt.call.plan.connect_timeout
    reads = Bound.of(timeouts.get("read"), attempt, now)
    writes = Bound.of(timeouts.get("write"), attempt, now)
    extensions = {
        **request.extensions,
        "timeout": {
            "connect": Bound.of(most if connect is None or connect > most else connect, attempt, now),
            "read": reads,
            "write": writes,
            "pool": Bound.of(timeouts.get("pool"), attempt, now),
        },
    }
    if scheme == b"https":
        # As the certificate knows it: in ASCII, and without the dot that makes a name absolute (RFC 6066 section 3).
        extensions.setdefault("sni_hostname", url.raw_host.decode("ascii").rstrip("."))
    host, port = node.endpoint.host, node.endpoint.port or url.port or DEFAULT_PORTS.get(scheme)
    target = httpcore.URL(
        scheme=scheme,
        host=host.encode("ascii") if host.isascii() else httpx.URL(host=host).raw_host,
        port=port,
        target=url.raw_path,
    )
    made = httpcore.Request(
        request.method,
        target,
        headers=with_headers(attempt, request),
        content=request.stream,
        extensions=extensions,
    )
    return made, (reads, writes)


def with_headers(attempt: Attempt, request: httpx.Request) -> list[tuple[bytes, bytes]]:
    """The request's headers with the listeners' in their place; `request` itself stays as its owner made it."""
    headers = request.headers.raw
    added = attempt.headers
    if not added:
        return headers
    names = {name.lower().encode("ascii") for name in added}
    kept = [pair for pair in headers if pair[0].lower() not in names]
    return kept + [(name.encode("ascii"), value.encode("latin-1")) for name, value in added.items()]


def loosened(bounds: tuple[Bound, Bound], attempt: Attempt, now: float) -> None:
    """After the head of a streamed response only the read timeout between chunks and `stream_timeout` hold."""
    stream_timeout = attempt.call.plan.stream_timeout
    for bound in bounds:
        bound.until = NEVER if stream_timeout is None else now + stream_timeout

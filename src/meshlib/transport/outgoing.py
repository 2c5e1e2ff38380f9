"""An attempt as a request of the pools' library: the URL as the caller wrote it, the scheme and TLS name as policy wants them.

Every timeout is a Bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import NEVER
from meshlib.transport.bound import Bound

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.transport.handshake import Tls
    from meshlib.transport.pooling import Pooling

__all__ = ["DEFAULT_PORTS", "loosened", "outgoing", "with_headers"]

DEFAULT_PORTS = {b"http": 80, b"https": 443}


def outgoing(
    pooling: Pooling, attempt: Attempt, request: Any, tls: Tls | None, now: float
) -> tuple[Any, tuple[Bound, Bound]]:
    """The request, and the bounds of its reads and writes, which outlive the head of a streamed response."""
    url, library = request.url, pooling.module
    timeouts = request.extensions.get("timeout") or {}
    scheme = b"http" if tls is None else b"https"
    connect = timeouts.get("connect")
    most = attempt.call.plan.connect_timeout
    reads = Bound.of(timeouts.get("read"), attempt, now)
    writes = Bound.of(timeouts.get("write"), attempt, now)
    extensions = {
        **request.extensions,
        "timeout": {
            "connect": Bound.of(most if connect is None or connect > most else connect, attempt, now, tls),
            "read": reads,
            "write": writes,
            "pool": Bound.of(timeouts.get("pool"), attempt, now),
        },
    }
    if tls is not None:
        extensions["sni_hostname"] = tls.server_hostname
    # The service's name: the node's address is known to its pool's backend, and a tool that looks on has no use for it.
    port = url.port or DEFAULT_PORTS.get(scheme)
    target = library.URL(scheme=scheme, host=url.raw_host, port=port, target=url.raw_path)
    made = library.Request(
        request.method,
        target,
        headers=with_headers(attempt, request),
        content=request.stream,
        extensions=extensions,
    )
    return made, (reads, writes)


def with_headers(attempt: Attempt, request: Any) -> list[tuple[bytes, bytes]]:
    """The request's headers with the listeners' in their place; `request` itself stays as its owner made it."""
    headers: list[tuple[bytes, bytes]] = request.headers.raw
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

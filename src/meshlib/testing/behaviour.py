"""What each Fault does to a connection: one function per kind, and the bytes they send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from meshlib.testing.connection import Connection
from meshlib.testing.fault import Fault
from meshlib.testing.received import ReceivedRequest

__all__ = ["perform", "response_head"]

Act = Callable[[Fault, bytes, bytes, Connection], Awaitable[bool]]


async def perform(fault: Fault, request: ReceivedRequest, connection: Connection) -> bool:
    """Answer as told; False when the connection has ended. Raises PeerGoneError when the client leaves meanwhile."""
    if fault.delay:
        await connection.pause(fault.delay)
    close = fault.close or not request.keep_alive
    body = b"" if request.method == "HEAD" or not _has_body(fault.status) else _framed(fault)
    kept = await _ACTS[fault.kind](fault, _head(fault, close), body, connection)
    return kept and not close


def response_head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """A status line and headers, with the empty line at the end."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _has_body(status: int) -> bool:
    return status >= 200 and status not in (204, 304)


def _head(fault: Fault, close: bool) -> bytes:
    headers = list(fault.headers)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "text/plain"))
    if not _has_body(fault.status):
        pass
    elif fault.chunked:
        headers.append(("Transfer-Encoding", "chunked"))
    elif not any(name.lower() == "content-length" for name, _ in headers):
        # A Content-Length of the test's own stays: a lying server is a fault, too.
        headers.append(("Content-Length", str(len(fault.body))))
    if close:
        headers.append(("Connection", "close"))
    return response_head(fault.status, headers)


def _framed(fault: Fault) -> bytes:
    if not fault.chunked:
        return fault.body
    middle = (len(fault.body) + 1) // 2
    parts = [part for part in (fault.body[:middle], fault.body[middle:]) if part]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


async def _ok(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(head + body)
    return True


async def _reset_before_head(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    connection.reset()
    return False


async def _reset_mid_head(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(head[: len(head) // 2])
    await connection.flushed()
    connection.reset()
    return False


async def _reset_mid_body(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(head + body[: len(body) // 2])
    await connection.flushed()
    connection.reset()
    return False


async def _cut_body(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(head + body[: len(body) // 2])
    connection.close()
    return False


async def _slow_body(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(head)
    await connection.pause(fault.interval)
    await connection.send(body)
    return True


async def _drip_head(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await _drip(fault, head, connection)
    await connection.send(body)
    return True


async def _drip_body(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(head)
    await _drip(fault, body, connection)
    return True


async def _drip(fault: Fault, data: bytes, connection: Connection) -> None:
    for start in range(0, len(data), fault.size):
        await connection.send(data[start : start + fault.size])
        await connection.pause(fault.interval)


async def _half_close(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    connection.half_close()
    await connection.abandoned()
    return False


async def _garbage(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(fault.body)
    connection.close()
    return False


async def _endless_headers(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(head[:-2])
    number = 0
    while True:
        number += 1
        await connection.send(b"X-Endless-%d: %b\r\n" % (number, b"e" * 100))
        await connection.pause(fault.interval)


async def _hang(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.abandoned()
    return False


async def _close_idle(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    await connection.send(head + body)
    await connection.pause(fault.interval)
    return False


async def _of_listener(fault: Fault, head: bytes, body: bytes, connection: Connection) -> bool:
    # The server takes these from its script before a request can meet one; a default may still be one.
    connection.reset()
    return False


_ACTS: dict[str, Act] = {
    "ok": _ok,
    "reset_before_head": _reset_before_head,
    "reset_mid_head": _reset_mid_head,
    "reset_mid_body": _reset_mid_body,
    "cut_body": _cut_body,
    "slow_body": _slow_body,
    "drip_head": _drip_head,
    "drip_body": _drip_body,
    "half_close": _half_close,
    "garbage": _garbage,
    "endless_headers": _endless_headers,
    "hang": _hang,
    "close_idle": _close_idle,
    "refuse": _of_listener,
    "blackhole": _of_listener,
}

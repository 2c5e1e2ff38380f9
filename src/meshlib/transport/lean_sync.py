"""Connection: one HTTP/1.1 connection on a blocking socket. Every operation is clamped to what is left of its attempt, so a
server that drips a byte a second stretches nothing."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import NEVER
from meshlib.transport.backend import readable
from meshlib.transport.http1 import BrokenResponse, Http1
from meshlib.transport.lean_errors import LeanError, reading, writing

if TYPE_CHECKING:
    from meshlib.transport.pool import Pool

__all__ = ["Connection", "enough"]

_READ = 64 * 1024
_LATE = 0.010
"""Seconds that an operation may end late, as on the deadline wheel."""


def enough(core: Http1) -> bool:
    """Whether an answer that came before the request's end makes the rest of the request pointless."""
    return core.complete or (core.head and core.status >= 400)


def _poised(sock: socket.socket, seconds: float) -> tuple[bool, bool]:
    """Whether it can be read, and written, within so many seconds; an error counts as both."""
    descriptor = sock.fileno()
    if not hasattr(select, "poll"):  # Windows
        found = select.select([descriptor], [descriptor], [], None if seconds == NEVER else max(0.0, seconds))
        return bool(found[0]), bool(found[1])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLOUT)
    events = poll.poll(None if seconds == NEVER else max(1.0, seconds * 1000.0))
    seen = events[0][1] if events else 0
    return bool(seen & ~select.POLLOUT), bool(seen & ~select.POLLIN)


class Connection:
    """Used by one exchange at a time. Raises LeanError."""

    __slots__ = (
        "__weakref__",
        "_clock",
        "_set",
        "core",
        "dies",
        "expires",
        "pool",
        "since",
        "socket",
        "stamp",
        "until",
    )

    def __init__(
        self, pool: Pool[Connection], sock: socket.socket, stamp: int, clock: Callable[[], float]
    ) -> None:
        self.core: Http1 = Http1()
        self.pool: Pool[Connection] = pool
        self.socket: socket.socket = sock
        self.stamp: int = stamp
        self.since: float = 0.0
        self.expires: float = NEVER
        self.dies: float = NEVER
        """When it is too old, however busy."""
        self.until: float = NEVER
        """When everything must be over (monotonic)."""
        self._clock = clock
        self._set: float = -1.0

    # --- an exchange ---------------------------------------------------------------------------------------------------

    def begin(self, method: str, until: float, close: bool) -> None:
        """An exchange begins; it may last until `until`; `close`: the request asks for the connection's end."""
        self.until = until
        self.core.begin(method, close)

    def write(self, data: bytes | memoryview, bound: float) -> int:
        """Hand the kernel as much of `data` as it takes now; `bound` seconds at most."""
        try:
            self._clamp(bound)
            return self.socket.send(data)
        except OSError as error:
            raise writing(error) from error

    def write_all(self, data: bytes | memoryview, bound: float) -> bool:
        """All of `data`; `bound` seconds for each piece. False: the peer has answered enough to spare it the rest."""
        view = memoryview(data)
        while view:
            if self._spared(bound):
                return False
            view = view[self.write(view, bound) :]
        return True

    def _spared(self, bound: float) -> bool:
        """Wait until the peer takes more. A peer that answers instead may never do that: listen as well."""
        core = self.core
        while True:
            try:
                heard, ready = _poised(self.socket, self._left(bound))
                if not (heard or ready):
                    raise TimeoutError("timed out")
            except OSError as error:
                raise writing(error) from error
            if heard:
                try:
                    self._read(0.0)
                except LeanError as error:
                    if error.kind != "ReadTimeout":
                        raise
                    # Less than a record of TLS, or nothing but a session ticket.
                if enough(core):
                    return True
            if ready:
                return False

    def answered(self, bound: float, whole: bool) -> None:
        """Until the head is there, or the whole message. `bound`: the longest pause between two reads."""
        core = self.core
        while not (core.complete or (core.head and not whole)):
            self._read(bound)

    def continued(self, bound: float) -> None:
        """Until the peer wants the body (100), or answers without it, or `bound` seconds are over."""
        core = self.core
        try:
            while not (core.continued or core.head):
                self._read(bound)
        except LeanError as error:
            if error.kind != "ReadTimeout":
                raise
            # RFC 9110 10.1.1: do not wait indefinitely

    def part(self, bound: float) -> bytes:
        """What has come of a streamed body; empty at its end."""
        core = self.core
        while not core.parts:
            if core.complete:
                return b""
            self._read(bound)
        parts = core.parts
        core.parts = []
        core.buffered = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read(self, bound: float) -> None:
        try:
            self._clamp(bound)
            data = self.socket.recv(_READ)
            if data:
                self.core.feed(data)
            else:
                self.core.eof()
        except (OSError, BrokenResponse) as error:
            raise reading(error, self.core.started) from error

    def waiting(self) -> bool:
        """Whether the peer has said something already."""
        return readable(self.socket)

    def _left(self, bound: float) -> float:
        left = self.until
        if left != NEVER:
            left -= self._clock()
            if left < -_LATE:  # a peer that always has something ready would never meet the socket's timeout
                raise TimeoutError("timed out")
        return bound if bound < left else left

    def _clamp(self, bound: float) -> None:
        left = self._left(bound)
        # Setting a socket's timeout is a system call: what it has is kept while it is right, or a few milliseconds late.
        if left != self._set and not 0.0 <= self._set - left <= _LATE:
            if left == NEVER:
                self._set = NEVER
                self.socket.settimeout(None)
            else:
                # At least a millisecond, so that what already waits in the kernel can still be taken.
                self._set = (left if left > 0.001 else 0.001) + _LATE / 2
                self.socket.settimeout(self._set)

    # --- what the pool asks --------------------------------------------------------------------------------------------

    def stale(self, thorough: bool) -> bool:
        """See `pool.Pooled`. Asked of the kernel always: nobody listens to an idle socket."""
        if not readable(self.socket):
            return False
        return not (isinstance(self.socket, ssl.SSLSocket) and self._only_tickets(self.socket))

    def _only_tickets(self, sock: ssl.SSLSocket) -> bool:
        """TLS 1.3 servers send session tickets after the handshake, and they are still to be read."""
        self._set = -1.0
        sock.settimeout(0.0)
        try:
            sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except (OSError, ValueError):
            pass
        return False

    def discard(self) -> None:
        """Close at once."""
        self.socket.close()

    def get_extra_info(self, info: str) -> Any:
        """As the families' `network_stream`: `client_addr`, `server_addr`, `socket`, `ssl_object`."""
        match info:
            case "client_addr":
                return self.socket.getsockname()
            case "server_addr":
                return self.socket.getpeername()
            case "socket":
                return self.socket
            case "ssl_object":
                return self.socket if isinstance(self.socket, ssl.SSLSocket) else None
        return None

    def descriptor(self) -> int:
        """The socket's file descriptor, -1 once it is closed."""
        return self.socket.fileno()

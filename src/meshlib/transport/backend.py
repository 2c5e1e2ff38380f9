"""The network under the connection pools, for threads: every operation is clamped to what is left of its attempt.

It is also where a connection exists before the first byte of a request leaves: the place to look at a peer's identity. `library`
is httpcore or httpcore2: the pools know no other errors than their own.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from meshlib.transport.bound import Bound
from meshlib.transport.connections import Connections
from meshlib.transport.handshake import refusal
from meshlib.transport.lookup import addresses

if TYPE_CHECKING:
    from meshlib.transport.handshake import Tls

__all__ = ["Backend", "Stream", "checked", "clamp", "connected", "readable", "secured", "sending"]


def clamp(timeout: float | None, now: float) -> float | None:
    """The seconds an operation may take: a Bound's remainder, or the plain timeout."""
    return timeout.left(now) if isinstance(timeout, Bound) else timeout


def sending(timeout: float | None) -> None:
    """Note that the first byte of the request may leave from here on."""
    if isinstance(timeout, Bound):
        timeout.attempt.sent = True


def connected(timeout: float | None, now: float) -> None:
    """Note that a connection had to be made for the attempt, and that it stands: its time is no measure of the node."""
    if isinstance(timeout, Bound):
        timeout.attempt.opened = now


def secured(timeout: float | None, context: ssl.SSLContext) -> Tls | None:
    """What the handshake's owner wants of it; None for an https:// proxy's, which is nobody's."""
    tls = timeout.tls if isinstance(timeout, Bound) else None
    return tls if tls is not None and tls.context is context else None


def checked(tls: Tls | None, connection: Any) -> int:
    """The peer's identity looked at, where policy wants one (`ssl.SSLError` for a wrong one); the version of our own."""
    if tls is None:
        return 0
    tls.check(connection)
    return tls.version


_LATE = 0.010
"""Seconds after the end of an attempt in which what waits in the kernel is still taken."""


class Backend:
    """Connects blocking sockets; a `NetworkBackend` of the pools' library.

    With an `address` every connection goes there, whatever the URL says.
    """

    def __init__(
        self, library: Any, connections: Connections | None = None, address: tuple[str, int] | None = None
    ) -> None:
        self._library = library
        self._address = address
        self._connections = Connections() if connections is None else connections
        self._clock = self._connections.clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        """A connected socket, or the library's ConnectTimeout / ConnectError; look-up and all addresses within the time."""
        if self._address is not None:
            host, port = self._address[0], self._address[1] or port
        source = None if local_address is None else (local_address, 0)
        try:
            sock = self._connected(host, port, timeout, source)
            for option in socket_options or ():
                sock.setsockopt(*option)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            raise self._library.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise self._library.ConnectError(str(error)) from error
        connected(timeout, self._clock())
        return Stream(self._library, sock, self._connections)

    def _connected(self, host: str, port: int, timeout: float | None, source: Any) -> socket.socket:
        started = self._clock()
        left = clamp(timeout, started)
        until = None if left is None else started + left
        found = addresses(host, port, left)
        for after, address in zip(reversed(range(len(found))), found, strict=True):
            # In equal parts, so that a first address that swallows packets leaves time for the next.
            share = None if until is None else max(0.001, (until - self._clock()) / (after + 1))
            try:
                return socket.create_connection(address, share, source_address=source)
            except OSError:
                if not after:
                    raise
        raise OSError(f"{host} has no address")

    def sleep(self, seconds: float) -> None:
        """The library's own retries sleep here; they are off."""
        time.sleep(seconds)


class Stream:
    """One connection; a `NetworkStream` of the pools' library."""

    def __init__(self, library: Any, sock: socket.socket, connections: Connections) -> None:
        self._library = library
        self._socket = sock
        self._connections = connections
        self._clock = connections.clock
        self._expires = connections.expiry()
        self._version: int | None = None
        self._fresh: Tls | None = None
        """Of a connection that nothing was read from yet."""
        connections.add(self)

    def descriptor(self) -> int:
        """The socket's file descriptor, -1 once it is closed."""
        return self._socket.fileno()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What is there, at most `max_bytes`; empty at the end."""
        try:
            self._allow(timeout)
            data = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise self._library.ReadTimeout(str(error)) from error
        except OSError as error:
            refused = None if self._fresh is None else refusal(error)
            if refused is not None:
                raise self._library.ConnectError(refused) from error
            raise self._library.ReadError(str(error)) from error
        if self._fresh is not None:
            # Behind the handshake, because that is where TLS 1.3 sends its tickets.
            self._fresh.remember(self._socket)  # type: ignore[arg-type]
            self._fresh = None
        return data

    def _allow(self, timeout: float | None) -> None:
        """Set the time of one operation. TimeoutError when the attempt is over for good: a bound is never less than a
        millisecond, and a peer that sends without pause could go on by milliseconds for ever."""
        now = self._clock()
        if isinstance(timeout, Bound) and now > timeout.until + _LATE:
            raise TimeoutError("timed out")
        self._socket.settimeout(clamp(timeout, now))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`. Until the first byte is accepted by the kernel the request counts as unsent."""
        view = memoryview(buffer)
        try:
            while view:
                self._allow(timeout)
                sent = self._socket.send(view)
                sending(timeout)
                view = view[sent:]
        except TimeoutError as error:
            raise self._library.WriteTimeout(str(error)) from error
        except OSError as error:
            raise self._library.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Stream:
        """The handshake, its whole length within the attempt's time."""
        if isinstance(self._socket, ssl.SSLSocket):
            raise self._library.ConnectError(
                "TLS through an https:// proxy needs AsyncClient, or a proxy spoken to by http://"
            )
        self._socket.settimeout(clamp(timeout, self._clock()))
        tls = secured(timeout, ssl_context)
        session = None if tls is None else tls.session
        try:
            self._socket = ssl_context.wrap_socket(
                self._socket, server_hostname=server_hostname, session=session
            )
            self._version = checked(tls, self._socket)
        except TimeoutError as error:
            self.close()
            raise self._library.ConnectTimeout(str(error)) from error
        except OSError as error:  # ssl.SSLError and CertificateError are among them
            self.close()
            raise self._library.ConnectError(str(error)) from error
        connected(timeout, self._clock())
        self._fresh = tls
        return self

    def get_extra_info(self, info: str) -> Any:
        """The library asks `is_readable` before it reuses an idle connection: readable means closed by the peer, and here
        also: over, see `Connections.over`."""
        match info:
            case "is_readable":
                return self._connections.over(self._expires, self._version) or readable(self._socket)
            case "ssl_object":
                return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
            case "socket":
                return self._socket
        return None


def readable(sock: socket.socket) -> bool:
    """Whether an idle connection's socket has something to say, or is gone."""
    try:
        descriptor = sock.fileno()
        if descriptor < 0:
            return True
        if not hasattr(select, "poll"):  # Windows
            return bool(select.select([descriptor], [], [], 0)[0])
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True

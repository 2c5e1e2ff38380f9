"""The network under the httpcore pools, for threads: every operation is clamped to what is left of its attempt.

This is also the place where a peer's identity is checked before the first byte of a request leaves.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from meshlib.transport.bound import Bound

__all__ = ["Backend", "PeerCheck", "Stream", "clamp", "sending"]

PeerCheck = Callable[[ssl.SSLObject | ssl.SSLSocket], None]
"""Looks at a peer after the handshake; raises `ssl.SSLError` to refuse it."""


def clamp(timeout: float | None, now: float) -> float | None:
    """The seconds an operation may take: a Bound's remainder, or the plain timeout."""
    return timeout.left(now) if isinstance(timeout, Bound) else timeout


def sending(timeout: float | None) -> None:
    """Note that the first byte of the request may leave from here on."""
    if isinstance(timeout, Bound):
        timeout.attempt.sent = True


class Backend(httpcore.NetworkBackend):
    """Connects blocking sockets. `max_age` seconds after its birth a connection counts as expired when next idle."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, max_age: Callable[[], float] | None = None
    ) -> None:
        self._clock = clock
        self._max_age = max_age

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connected socket, or httpcore.ConnectTimeout / ConnectError."""
        source = None if local_address is None else (local_address, 0)
        try:
            sock = socket.create_connection(
                (host, port), clamp(timeout, self._clock()), source_address=source
            )
            for option in socket_options or ():
                sock.setsockopt(*option)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        expires = self._clock() + self._max_age() if self._max_age else float("inf")
        return Stream(sock, self._clock, expires)

    def sleep(self, seconds: float) -> None:
        """httpcore's own retries sleep here; they are off."""
        time.sleep(seconds)


class Stream(httpcore.NetworkStream):
    """One connection."""

    def __init__(self, sock: socket.socket, clock: Callable[[], float], expires: float) -> None:
        self._socket = sock
        self._clock = clock
        self._expires = expires

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What is there, at most `max_bytes`; empty at the end."""
        try:
            self._socket.settimeout(clamp(timeout, self._clock()))
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`. Until the first byte is accepted by the kernel the request counts as unsent."""
        view = memoryview(buffer)
        try:
            while view:
                self._socket.settimeout(clamp(timeout, self._clock()))
                sent = self._socket.send(view)
                sending(timeout)
                view = view[sent:]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """The handshake, its whole length within the attempt's time."""
        self._socket.settimeout(clamp(timeout, self._clock()))
        try:
            self._socket = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:  # ssl.SSLError and CertificateError are among them
            self.close()
            raise httpcore.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        """httpcore asks `is_readable` before it reuses an idle connection: readable means closed by the peer, and here
        also too old to be used again."""
        match info:
            case "is_readable":
                return self._clock() >= self._expires or _readable(self._socket)
            case "ssl_object":
                return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
            case "socket":
                return self._socket
        return None


def _readable(sock: socket.socket) -> bool:
    try:
        descriptor = sock.fileno()
        if descriptor < 0:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True

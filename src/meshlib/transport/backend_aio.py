"""The network under the connection pools, for asyncio. Timeouts are alarms on the loop's deadline wheel.

`library` is httpcore or httpcore2: the pools know no other errors than their own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from meshlib.core.deadline import NEVER
from meshlib.drivers.wheel import wheel
from meshlib.transport.backend import checked, clamp, connected, readable, secured, sending
from meshlib.transport.connections import Connections
from meshlib.transport.handshake import refusal
from meshlib.transport.lookup import literal

__all__ = ["AsyncBackend", "AsyncStream"]

_LIMIT = 64 * 1024
_EYEBALLS = 0.25
"""Seconds that an address is waited for before the next is tried beside it (RFC 8305 section 5)."""


class AsyncBackend:
    """Connects asyncio streams; an `AsyncNetworkBackend` of the pools' library. `address` as in `transport.backend`."""

    def __init__(
        self, library: Any, connections: Connections | None = None, address: tuple[str, int] | None = None
    ) -> None:
        self._library = library
        self._address = address
        self._connections = Connections() if connections is None else connections
        self._clock = self._connections.clock

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncStream:
        """A connected stream, or the library's ConnectTimeout / ConnectError; look-up and all addresses within the time."""
        if self._address is not None:
            host, port = self._address[0], self._address[1] or port
        more: dict[str, Any] = {} if local_address is None else {"local_addr": (local_address, 0)}
        if not literal(host) and isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):  # not uvloop
            more["happy_eyeballs_delay"] = _EYEBALLS
        with _within(timeout, self._clock, self._library.ConnectTimeout, self._library.ConnectError):
            reader, writer = await asyncio.open_connection(host, port, limit=_LIMIT, **more)
        raw = writer.get_extra_info("socket")
        for option in socket_options or ():
            raw.setsockopt(*option)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected(timeout, self._clock())
        return AsyncStream(self._library, reader, writer, self._connections)

    async def sleep(self, seconds: float) -> None:
        """The library's own retries sleep here; they are off."""
        await asyncio.sleep(seconds)


class AsyncStream:
    """One connection; an `AsyncNetworkStream` of the pools' library."""

    def __init__(
        self,
        library: Any,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connections: Connections,
    ) -> None:
        self._library = library
        self._reader = reader
        self._writer = writer
        self._connections = connections
        self._clock = connections.clock
        self._expires = connections.expiry()
        self._version: int | None = None
        self._fresh = False
        """Whether it was secured and nothing was read from it yet."""
        connections.add(self)

    def descriptor(self) -> int:
        """The socket's file descriptor, -1 once it is closed."""
        sock = self._writer.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What is there, at most `max_bytes`; empty at the end."""
        try:
            with _within(timeout, self._clock, self._library.ReadTimeout, self._library.ReadError):
                data = await self._reader.read(max_bytes)
        except self._library.ReadError as error:
            refused = refusal(error.__cause__) if self._fresh else None
            if refused is not None:
                raise self._library.ConnectError(refused) from error.__cause__
            raise
        self._fresh = False
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`. A connection already known to be closed leaves the request unsent."""
        if not buffer:
            return
        with _within(timeout, self._clock, self._library.WriteTimeout, self._library.WriteError):
            if self._writer.transport.is_closing():
                raise ConnectionResetError("the connection is closed")
            transport = self._writer.transport
            empty = transport.get_write_buffer_size() == 0
            transport.write(buffer)
            # With nothing waiting before it asyncio tries at once, and closes when the kernel takes none of it: then
            # the request is unsent as surely as with a blocking socket. Everything else may have left.
            if not (empty and transport.is_closing()):
                sending(timeout)
            await self._writer.drain()

    async def aclose(self) -> None:
        """Close at once: a graceful end would wait for a dead peer, to take a TLS farewell or what is still unsent."""
        self._writer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncStream:
        """The handshake, its whole length within the attempt's time."""
        try:
            with _within(timeout, self._clock, self._library.ConnectTimeout, self._library.ConnectError):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
                self._version = checked(secured(timeout, ssl_context), self._ssl())
        except BaseException:
            self._writer.transport.abort()
            raise
        connected(timeout, self._clock())
        self._fresh = True
        return self

    def _ssl(self) -> Any:
        return self._writer.get_extra_info("ssl_object")

    def get_extra_info(self, info: str) -> Any:
        """The library asks `is_readable` before it reuses an idle connection: readable means closed by the peer, and here
        also: over, see `Connections.over`."""
        match info:
            case "is_readable":
                if self._connections.over(self._expires, self._version):
                    return True
                if self._writer.transport.is_closing():
                    return True
                # Asked of the kernel as well: the loop may not yet have seen what arrived.
                return self._reader.at_eof() or readable(self._writer.get_extra_info("socket"))
            case "ssl_object":
                return self._ssl()
            case "client_addr":
                return self._writer.get_extra_info("sockname")
            case "server_addr":
                return self._writer.get_extra_info("peername")
            case "socket":
                return self._writer.get_extra_info("socket")
        return None


class _within:
    """A block within a timeout, its errors as the library's: `late` when time is up, `broken` for what the OS says."""

    __slots__ = ("_alarm", "_broken", "_late")

    def __init__(
        self,
        timeout: float | None,
        clock: Callable[[], float],
        late: type[Exception],
        broken: type[Exception],
    ) -> None:
        now = clock()
        left = clamp(timeout, now)
        self._alarm = wheel(clock).arm(NEVER if left is None else now + left)
        self._late = late
        self._broken = broken

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._alarm.disarm()
        elif isinstance(error, asyncio.CancelledError):
            if self._alarm.disarm(cancelled=True):
                raise self._late("timed out") from None
        else:
            self._alarm.disarm()
            if isinstance(error, OSError | EOFError):
                raise self._broken(str(error)) from error

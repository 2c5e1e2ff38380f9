"""Connection: one accepted connection of a FaultServer, with the bad manners that TCP allows."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from meshlib.testing.received import ReceivedRequest, RequestReader

__all__ = ["Connection", "PeerGoneError"]


class PeerGoneError(ConnectionError):
    """The client closed its side, or the connection broke, while the server was still at it."""


class Connection(asyncio.Protocol):
    """Reads requests and writes bytes; ends by FIN (`close`), by RST (`reset`) or on one side (`half_close`).

    Belongs to the loop of its server. `lost` is called once, when the socket is gone.
    """

    def __init__(self, number: int, lost: Callable[[Connection], None]) -> None:
        self.number = number
        self._lost = lost
        self._reader = RequestReader(number)
        self._transport: asyncio.Transport | None = None
        self._arrived = asyncio.Event()
        self._gone = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._arrived.set()

    def eof_received(self) -> bool:
        self._gone.set()
        self._arrived.set()
        return True  # the server decides when its own side ends

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        self._arrived.set()
        self._writable.set()
        self._lost(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def receive(self) -> ReceivedRequest | None:
        """The next request, or None when the client has left. Raises BadRequestError."""
        while True:
            self._arrived.clear()
            request = self._reader.take()
            if request is not None or self._gone.is_set():
                return request
            if self._reader.wants_continue:
                self._reader.continued()
                await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self._arrived.wait()

    async def send(self, data: bytes) -> None:
        """Write, waiting while the client does not read. Raises PeerGoneError."""
        assert self._transport is not None
        if self._transport.is_closing():
            raise PeerGoneError("the connection is closed")
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    async def pause(self, seconds: float) -> None:
        """Let time pass. Raises PeerGoneError as soon as the client leaves."""
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            return
        raise PeerGoneError("the client left")

    async def abandoned(self) -> None:
        """Wait until the client leaves."""
        await self._gone.wait()

    async def flushed(self) -> None:
        """Wait (at most 1 s) until the client's machine has everything: a reset would take back what is still here."""
        transport = self._transport
        assert transport is not None
        for _ in range(200):
            if transport.is_closing() or not (transport.get_write_buffer_size() or self._unacknowledged()):
                return
            await asyncio.sleep(0.005)

    def _unacknowledged(self) -> int:
        try:
            from fcntl import ioctl
            from termios import TIOCOUTQ  # for a TCP socket: bytes sent and not acknowledged, SIOCOUTQ
        except ImportError:
            return 0
        assert self._transport is not None
        try:
            raw = ioctl(self._transport.get_extra_info("socket").fileno(), TIOCOUTQ, b"\0" * 4)
        except OSError:
            return 0
        return int(struct.unpack("i", raw)[0])

    def reset(self) -> None:
        """End with RST: SO_LINGER with a time of 0 makes close() abortive."""
        assert self._transport is not None
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            # Windows has two shorts in its `struct linger`, everybody else two ints.
            layout = "hh" if hasattr(socket, "SIO_RCVALL") else "ii"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(layout, 1, 0))
        self._transport.abort()

    def half_close(self) -> None:
        """FIN, and go on reading."""
        assert self._transport is not None
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """FIN after what is still to be written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop it now, as when the server stops."""
        if self._transport is not None:
            self._transport.abort()

"""Port: a listening address that can be open, refuse connections, or leave them hanging."""

from __future__ import annotations

import select
import socket
from typing import Any

__all__ = ["Port"]

_BACKLOG = 128
_FILLERS = 16


class Port:
    """A TCP address that stays the same through `open`, `refuse`, `blackhole`, until `close`.

    While it refuses, the address stays bound without listening, so nobody else can be given the number. `sock` is the
    socket to accept from. Not thread-safe.
    """

    def __init__(self, host: str, port: int) -> None:
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock: socket.socket = self._bound((host, port))
        self.host = host
        self.port: int = self.sock.getsockname()[1]
        self._fillers: list[socket.socket] = []

    def open(self) -> list[socket.socket]:
        """Accept again; returns the connections of clients that had got in while nobody accepted."""
        ours = {filler.getsockname()[:2] for filler in self._fillers}
        self._unfill()
        waiting = self._waiting(ours) if ours else []
        self.sock.listen(_BACKLOG)
        return waiting

    def refuse(self) -> None:
        """Answer connects with RST."""
        self._unfill()
        # Two sockets on one listening address are forbidden, so for a moment it is bound by nobody.
        self.sock.close()
        self.sock = self._bound((self.host, self.port))

    def blackhole(self) -> None:
        """Answer connects with nothing: Linux drops a SYN while the accept queue is full, and nobody accepts.

        The queue is made as short as it can be and filled with connections of our own.
        """
        self.sock.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket(self._family, socket.SOCK_STREAM)
            self._fillers.append(filler)
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
            if not select.select([], [filler], [], 0.05)[1]:
                return

    def close(self) -> None:
        """Give the address up."""
        self._unfill()
        self.sock.close()

    def _bound(self, address: tuple[str, int]) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            # On Windows this option would let two processes share the port.
            if not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _unfill(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _waiting(self, ours: set[Any]) -> list[socket.socket]:
        found: list[socket.socket] = []
        while True:
            try:
                sock, peer = self.sock.accept()
            except OSError:
                return found
            if peer[:2] in ours:
                sock.close()
            else:
                found.append(sock)

"""Connecting by name, for threads: look-up and happy eyeballs (RFC 8305) over non-blocking sockets, within one deadline."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Any

from meshlib.core.deadline import NEVER
from meshlib.transport.lookup import addresses

__all__ = ["STAGGER", "dial", "interleaved"]

STAGGER = 0.25
"""Seconds that an address is waited for before the next is tried beside it (RFC 8305 section 5)."""
_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)

Address = tuple[Any, ...]


def dial(host: str, port: int, until: float, clock: Callable[[], float]) -> socket.socket:
    """A connected socket by `until` (monotonic, as `clock` counts); raises OSError, TimeoutError among them."""
    left = None if until == NEVER else max(0.001, until - clock())
    found = addresses(host, port, left)
    if not found:
        raise OSError(f"{host} has no address")
    if len(found) == 1:
        left = None if until == NEVER else max(0.001, until - clock())
        sock = socket.create_connection(found[0], left)
    else:
        with _Race(interleaved(found), until, clock) as race:
            sock = race.won()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def interleaved(found: list[Address]) -> list[Address]:
    """The families by turns, the system's first choice first (RFC 8305 section 4)."""
    first = ":" in found[0][0]
    same = [address for address in found if (":" in address[0]) is first]
    other = [address for address in found if (":" in address[0]) is not first]
    return [address for address in chain(*zip_longest(same, other)) if address is not None]


class _Race:
    """Attempts started `STAGGER` apart, or at once when the one before has failed; the first to stand wins."""

    def __init__(self, found: list[Address], until: float, clock: Callable[[], float]) -> None:
        self._found = found
        self._until = until
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._error: OSError = TimeoutError("timed out")

    def __enter__(self) -> _Race:
        return self

    def __exit__(self, *details: object) -> None:
        """Close whoever lost."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def won(self) -> socket.socket:
        """The first connected socket."""
        following = 0.0
        while True:
            now = self._clock()
            if now >= self._until:
                raise TimeoutError("timed out")
            running = len(self._selector.get_map())
            if self._found and (now >= following or not running):
                following = now + STAGGER if self._start(self._found.pop(0)) else now
                continue
            if not running:
                raise self._error
            bound = min(self._until, following if self._found else NEVER)
            for key, _ in self._selector.select(None if bound == NEVER else max(0.0, bound - now)):
                sock = self._judged(key.fileobj)
                if sock is not None:
                    return sock
                following = 0.0

    def _start(self, address: Address) -> bool:
        """Whether an attempt is under way."""
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:  # a system without IPv6 may still be told of such addresses
            self._error = error
            return False
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code in _UNDER_WAY:
            self._selector.register(sock, selectors.EVENT_WRITE)
            return True
        sock.close()
        self._error = OSError(code, os.strerror(code))
        return False

    def _judged(self, sock: Any) -> socket.socket | None:
        self._selector.unregister(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            found: socket.socket = sock
            return found
        sock.close()
        self._error = OSError(code, os.strerror(code))
        return None

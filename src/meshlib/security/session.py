"""Sessions: what lets the next TLS handshake with a peer be a short one (RFC 8446 section 2.2). For blocking sockets.

asyncio gives no way to hand a session to its handshake (`create_connection` and `start_tls` take none), so async connections
always make the full one. With TLS 1.3 the server sends its tickets after the handshake: a session exists only once something
was read.
"""

from __future__ import annotations

import ssl
from collections.abc import Hashable

__all__ = ["MOST", "Sessions"]

MOST = 1024
"""Sessions kept for one identity: enough for every endpoint of a large service, about 4 MB at most."""


class Sessions:
    """The last session of each peer, the oldest dropped first. Thread-safe: single operations on a dict."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[Hashable, ssl.SSLSession] = {}

    def __len__(self) -> int:
        return len(self._held)

    def get(self, peer: Hashable) -> ssl.SSLSession | None:
        """The session to try; an expired one makes the server answer with a full handshake, so it does no harm."""
        return self._held.get(peer)

    def put(self, peer: Hashable, session: ssl.SSLSession) -> None:
        """Keep a session; the newest of a peer counts."""
        held = self._held
        held.pop(peer, None)
        while len(held) >= MOST:
            try:
                held.pop(next(iter(held)), None)
            except (StopIteration, RuntimeError):  # another thread was here
                break
        held[peer] = session

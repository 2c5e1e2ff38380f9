"""Whether anybody has patched what lies below the clients: a family's transports, and httpcore's pools and connections.

The same questions as in `transport.patched`, asked for every call, answered by identity.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from meshlib.transport.patched import original

__all__ = ["POOL", "TRANSPORT", "TransportWatch"]

_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}

TRANSPORT: int = 1
"""The family's HTTPTransport or AsyncHTTPTransport is patched: attempts go through `transport.wire_patched`."""
POOL: int = 2
"""httpcore's pools or connections are patched: attempts take the httpx wire, which is made of them."""


class TransportWatch:
    """The places below the clients of one family: its transport, and httpcore's pool and connection. Thread-safe.

    `module` is the family's. httpcore is not imported for this: what nobody has imported, nobody has patched.
    """

    __slots__ = ("_connection", "_core", "_method", "_pool", "_prefix", "_seen", "_transport")

    def __init__(self, module: Any, asynchronous: bool) -> None:
        self._prefix: str = "Async" if asynchronous else ""
        self._method: str = "handle_async_request" if asynchronous else "handle_request"
        self._core: str = _CORES[module.__name__]
        self._transport: Mapping[str, Any] = getattr(module, f"{self._prefix}HTTPTransport").__dict__
        self._pool: Mapping[str, Any] = {}
        self._connection: Mapping[str, Any] = {}
        self._seen: tuple[Any, Any, Any, int] = (None, None, None, 0)

    def level(self) -> int:
        """0 when all are originals, else TRANSPORT, POOL or both. At most 0.2 us."""
        method = self._method
        transport, pool, connection, level = self._seen
        if (
            self._transport.get(method) is transport
            and self._pool.get(method) is pool
            and self._connection.get(method) is connection
            and (pool is not None or self._core not in sys.modules)
        ):
            return level
        return self._look()

    def _look(self) -> int:
        """Judge what stands there now; kept by one assignment, so that no thread takes the level of other functions."""
        if not self._pool and self._core in sys.modules:
            core = sys.modules[self._core]
            # Without these attributes another thread is still importing the module: the next call looks again.
            self._connection = getattr(getattr(core, f"{self._prefix}HTTPConnection", None), "__dict__", {})
            self._pool = getattr(getattr(core, f"{self._prefix}ConnectionPool", None), "__dict__", {})
        method = self._method
        transport, pool, connection = (
            place.get(method) for place in (self._transport, self._pool, self._connection)
        )
        level = 0 if original(transport) else TRANSPORT
        if not all(original(found) for found in (pool, connection) if found is not None):
            level |= POOL
        self._seen = (transport, pool, connection, level)
        return level

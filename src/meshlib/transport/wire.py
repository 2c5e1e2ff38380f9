"""The Wire contract: what carries one HTTP attempt to one node. Chosen by configuration; the seam for other transports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import httpx

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.node import Node

__all__ = ["AsyncWire", "Timeouts", "Wire"]

Timeouts = dict[str, float | None]
"""httpx's four: connect, read, write, pool; None is no timeout of that kind."""


class Wire(Protocol):
    """Sends attempts from threads. Raises httpx errors only; holds the connections of its nodes."""

    def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """The response: with its body when `whole`, else with a stream that gives the lease back when closed."""
        ...

    def drop(self, node: Node) -> None:
        """The node is gone for good: close its connections."""
        ...

    def close(self) -> None:
        """Close everything."""
        ...


class AsyncWire(Protocol):
    """The same for one event loop."""

    async def send(
        self, attempt: Attempt, request: httpx.Request, timeouts: Timeouts, whole: bool
    ) -> httpx.Response:
        """As Wire.send."""
        ...

    def drop(self, node: Node) -> None:
        """The node is gone for good: close its connections, soon."""
        ...

    async def aclose(self) -> None:
        """Close everything."""
        ...


MakeWire = Callable[[], Wire]

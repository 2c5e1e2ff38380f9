"""The Wire contract: what carries one HTTP attempt to one node. Chosen by configuration; the seam for other transports.

A wire is made with its family's binding: responses and errors are that family's. What it needs to know of a call stands in
what it is given: `attempt.call.flags & BUFFERED` says whether the body is wanted whole, `request.extensions["timeout"]` has the
family's four timeouts (connect, read, write, pool; None is no timeout of that kind), `attempt.until` bounds everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.node import Node

__all__ = ["AsyncWire", "Wire"]


class Wire(Protocol):
    """Sends attempts from threads. Raises the family's errors only; holds the connections of its nodes."""

    def send(self, attempt: Attempt, request: Any) -> Any:
        """The response: with its body when it is wanted whole, else with a stream that gives the lease back when closed."""
        ...

    def drop(self, node: Node) -> None:
        """The node is gone for good: close its connections."""
        ...

    def close(self) -> None:
        """Keep no connection any more: idle ones close now, the others with the call that has them."""
        ...


class AsyncWire(Protocol):
    """The same for one event loop."""

    async def send(self, attempt: Attempt, request: Any) -> Any:
        """As Wire.send."""
        ...

    def drop(self, node: Node) -> None:
        """The node is gone for good: close its connections, soon."""
        ...

    def drop_all(self) -> None:
        """`aclose`, soon; called on the wire's own loop."""
        ...

    async def aclose(self) -> None:
        """As Wire.close."""
        ...

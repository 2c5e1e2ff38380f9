"""The contract of policy providers: the same coroutine shape as a Resolver, publishing PolicySnapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from meshlib.core.io import IO
from meshlib.core.uri import URI
from meshlib.policy import PolicySnapshot

__all__ = ["PolicyProvider", "Publish"]

Publish = Callable[[PolicySnapshot], None]
"""Takes a parsed snapshot; everything is compiled against it before it is swapped in. Raises ConfigError when it is refused,
and then nothing has changed: report it to the source if the source can be told (a NACK), and go on."""


class PolicyProvider(Protocol):
    """One kind of source. Stateless and shared: what a watch learns lives in its coroutine."""

    async def watch(self, uri: URI, io: IO, publish: Publish) -> None:
        """Publish the document and each new version of it, until cancelled. Touches the world through `io` only.

        Lets errors out (ConfigError for a document that is wrong): the runner says so and starts it again, and the last
        good policy stays.
        """
        ...

"""The contract of discovery: a Resolver watches a Target and publishes EndpointSets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from meshlib.core.io import IO
from meshlib.core.snapshot import EndpointSet
from meshlib.core.uri import URI, Authority

__all__ = ["Publish", "Resolver", "Target"]

Publish = Callable[[EndpointSet], None]
"""Takes a full set, from the loop the resolver runs on; never blocks. DiscoveryError refuses a set that makes no
sense; let it out."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What to watch: where (`uri`), for whom (`service`, the logical name, perhaps with `:port`), and the port of
    endpoints that bring none (0: the default of the wire protocol)."""

    uri: URI
    service: str = ""
    port: int = 0

    @property
    def name(self) -> str:
        """The logical name without its port."""
        host, colon, port = self.service.rpartition(":")
        bare = (
            host if colon and port.isdigit() and (":" not in host or host.startswith("[")) else self.service
        )
        return bare.removeprefix("[").removesuffix("]")

    def authorities(self) -> tuple[Authority, ...]:
        """The URI's hosts and ports; the logical name when it has none."""
        return self.uri.authorities or (((self.name, None),) if self.service else ())

    def port_of(self, written: int | None) -> int:
        """The port of an endpoint: as written beside it, else the service's."""
        if written:
            return written
        if self.port:
            return self.port
        port = self.service.removeprefix(self.name).rpartition(":")[2] if self.service != self.name else ""
        return int(port) if port.isdigit() else 0


class Resolver(Protocol):
    """One kind of source. Stateless and shared: what a watch learns lives in its coroutine."""

    def check(self, target: Target) -> None:
        """ConfigError when the URI lacks something or holds what this resolver does not know. No I/O."""
        ...

    async def watch(self, target: Target, io: IO, publish: Publish) -> None:
        """Publish the full set as soon as possible and after each change or confirmation, until cancelled.

        Touches the world through `io` only, so it may be cancelled at every await and runs in virtual time. Lets
        errors out (the runner starts it again); no answer is never an empty set, while an answer that says "there is
        none" is. `io.sleep` returning early means: look again now. May return when the set can never change.
        """
        ...

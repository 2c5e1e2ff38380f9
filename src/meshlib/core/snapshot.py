"""EndpointSet: everything a resolver knows about one service at one moment, immutable and versioned."""

from __future__ import annotations

from collections.abc import Iterable

from meshlib.core.endpoint import Endpoint, Key

__all__ = ["EndpointSet"]


class EndpointSet:
    """A full set of endpoints, in published order and without duplicates (the first of a key wins).

    `version` is the source's own mark when it has one, `source` a text without credentials, `received` monotonic
    seconds. Published by one reference assignment; never changed afterwards.
    """

    __slots__ = ("endpoints", "received", "source", "version")

    def __init__(
        self, endpoints: Iterable[Endpoint], *, source: str = "", version: str = "", received: float = 0.0
    ) -> None:
        unique: dict[Key, Endpoint] = {}
        for endpoint in endpoints:
            unique.setdefault((endpoint.host, endpoint.port), endpoint)
        self.endpoints: tuple[Endpoint, ...] = tuple(unique.values())
        self.source: str = source
        self.version: str = version
        self.received: float = received

    def __len__(self) -> int:
        return len(self.endpoints)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EndpointSet) and self.endpoints == other.endpoints

    def __hash__(self) -> int:
        return hash(tuple(endpoint.key for endpoint in self.endpoints))

    def __repr__(self) -> str:
        return f"EndpointSet({len(self.endpoints)} endpoints from {self.source or 'nowhere'})"

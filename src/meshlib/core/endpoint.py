"""Endpoint: the identity of one instance, as a registry published it. Immutable and cheap to compare."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from meshlib.core.override import Override

__all__ = ["NO_LABELS", "Endpoint", "Key", "address_text"]

Key = tuple[str, int]
NO_LABELS: Mapping[str, str] = MappingProxyType({})


def address_text(host: str, port: int) -> str:
    """`10.0.0.1:8080`, `[::1]:8080`; a port of 0 means the protocol's default and is left out."""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}" if port else shown


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, cache_hash=False, gc=False):
    """One instance of a service.

    `host` is an IP literal or a name, `port` 0 means the default of the wire protocol; `weight` is relative
    (100 is ordinary, 0 receives nothing while another lives), `priority` 0 is tried first. `labels` are what
    subsets select on. `override` changes how requests to this instance are written.
    """

    host: str
    port: int = 0
    zone: str = ""
    weight: float = 100.0
    priority: int = 0
    labels: Mapping[str, str] = NO_LABELS
    override: Override | None = None

    @property
    def key(self) -> Key:
        """What makes a Node outlive snapshots: the same host and port are the same instance."""
        return (self.host, self.port)

    @property
    def address(self) -> str:
        """`host:port` for people and logs."""
        return address_text(self.host, self.port)

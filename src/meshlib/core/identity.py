"""Identity: who this process is, to balancing (Caller) and to TLS peers (Identity, IdentitySource)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from meshlib.core.endpoint import NO_LABELS

__all__ = ["NOBODY", "Caller", "Identity", "IdentitySource"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The calling process, from `[mesh]`: what subsetters, zone-aware pickers and routes compare against."""

    service: str = ""
    zone: str = ""
    labels: Mapping[str, str] = NO_LABELS
    instance: str = ""


NOBODY = Caller()


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Key material for TLS at one moment, in PEM. `version` changes whenever any of it does.

    The key's text never appears in `repr`, logs, errors or state.
    """

    version: str
    trust: bytes = b""
    chain: bytes = b""
    key: bytes = b""
    spiffe_id: str | None = None

    def __repr__(self) -> str:
        return f"Identity(version={self.version!r}, spiffe_id={self.spiffe_id!r})"


class IdentitySource(Protocol):
    """Where an Identity comes from and how its rotation is noticed (files, Consul leaf, SDS, Workload API)."""

    async def watch(self, publish: Callable[[Identity], None]) -> None:
        """Publish the present identity and each new one, until cancelled. Errors are let out; the last one stays."""
        ...

"""Families by name, imported when asked for: a process that uses one never loads the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meshlib.errors import ConfigError
from meshlib.transport.settings import WireSettings

if TYPE_CHECKING:
    from meshlib.runtime import Runtime

__all__ = ["async_transport", "clients", "family", "transport"]

_KNOWN = ("httpx", "httpx2")


def family(name: str) -> Any:
    """The module with `MeshTransport`, `AsyncMeshTransport` and `BINDING` of a family.

    Raises ConfigError for an unknown name, ImportError (with the command that helps) for one that is not installed.
    """
    if name == "httpx":
        from meshlib.transport import family_httpx

        return family_httpx
    if name == "httpx2":
        from meshlib.transport import family_httpx2

        return family_httpx2
    raise ConfigError(f"unknown client family {name!r}: known are {' and '.join(map(repr, _KNOWN))}")


def clients(name: str) -> Any:
    """The module with `Client` and `AsyncClient` of a family; raises as `family`."""
    family(name)
    if name == "httpx":
        from meshlib.transport import client

        return client
    from meshlib.transport import client_httpx2

    return client_httpx2


def transport(name: str, runtime: Runtime, wire: Mapping[str, Any]) -> Any:
    """A family's transport for threads; `wire` as its clients take it. Raises as `family`, TypeError for a stranger."""
    found = family(name)
    found.BINDING.border.refuse("transport()", *wire.values())
    return found.MeshTransport(runtime, WireSettings(**wire))


def async_transport(name: str, runtime: Runtime, wire: Mapping[str, Any]) -> Any:
    """The same for asyncio."""
    found = family(name)
    found.BINDING.border.refuse("async_transport()", *wire.values())
    return found.AsyncMeshTransport(runtime, WireSettings(**wire))

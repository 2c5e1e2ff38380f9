"""The clients of a soak: a mesh, a sync and an async client for every wire and HTTP family that is there."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.chaos.ledger import Watcher
from meshlib import Mesh

__all__ = ["Family", "Party", "families"]

POLICY: dict[str, Any] = {
    "timeout": 2.0,
    "attempt_timeout": 0.4,
    "connect_timeout": 0.3,
    "breaker": {"open_for": 0.2, "max_open_for": 1.0},
    "connections": {"max": 64, "idle": 0.5, "max_age": 3.0},
}
"""Short times, so that everything that can happen to a connection happens often."""


class Family:
    """The module that clients come from, and the errors that a call may end with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clients: Any = import_module("meshlib" if name == "httpx" else "meshlib.httpx2")
        self.module: Any = import_module(name)
        base = import_module("meshlib.errors").MeshError
        self.errors: tuple[type[Exception], ...] = (self.module.HTTPError, self.module.StreamError, base)


def families() -> list[str]:
    """Those that can be used here."""
    there = find_spec("httpx2") is not None and find_spec("meshlib.httpx2") is not None
    return ["httpx", "httpx2"] if there else ["httpx"]


class Party:
    """One wire and one family."""

    def __init__(self, family: str, wire: str, discovery: dict[str, str]) -> None:
        self.name = f"{family} on {wire}"
        self.family = Family(family)
        self.watcher = Watcher()
        services = {name: {**POLICY, "discovery": uri, "wire": wire} for name, uri in discovery.items()}
        self.mesh = Mesh(policy={"services": services}, listeners=[self.watcher])
        self.services = list(services)
        self.sync: Any = self.family.clients.Client(mesh=self.mesh)
        self.aio: Any = self.family.clients.AsyncClient(mesh=self.mesh)

    def in_flight(self) -> int:
        """Attempts that hold something, as the mesh sees it."""
        held = 0
        for service in self.mesh.state()["services"].values():
            held += service["limit"]["used"] + service["limit"]["queued"]
            for cluster in service["clusters"].values():
                held += sum(node["in_flight"] for node in cluster["nodes"])
        return held

    def carried(self) -> str:
        """The classes of the wires in use."""
        return ", ".join(sorted({type(wire).__name__ for wire, _ in self.mesh.runtime.pools.all()}))

    async def close(self) -> None:
        """Clients first, then the mesh."""
        self.sync.close()
        await self.aio.aclose()
        self.mesh.close()

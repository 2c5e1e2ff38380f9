"""Cell: one client under one load, measured in a process of its own; and the matrix of them all.

A cell's key is its place in the tables and in `bars`: `client/loop/in flight`, and the body where it is not the small one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["BODIES", "SMALL", "Cell", "matrix"]

SMALL = "small"
BODIES = {SMALL: 200, "16k": 16 << 10, "1m": 1 << 20, "1g": 1 << 30}
"""The paths that the server answers, and how many bytes with."""

LOOPS = ("asyncio", "uvloop")
IN_FLIGHT = (1, 32, 256)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one process does. `kind` is "load", "pairs" or "download"; `client` names an entry of the adapters (of the pairs).

    `sniffio` puts that package on the path: httpx as pip installs it today lacks it, and pays for a failing import. `scale`
    lengthens a cell whose figure is a small difference.
    """

    client: str
    loop: str = "asyncio"
    in_flight: int = 1
    body: str = SMALL
    endpoints: int = 3
    sniffio: bool = False
    kind: str = "load"
    scale: float = 1.0
    group: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """Unique in the matrix."""
        parts = [self.client + ("+sniffio" if self.sniffio else ""), self.loop, str(self.in_flight)]
        if self.body != SMALL:
            parts.append(self.body)
        if self.endpoints != 3:
            parts.append(f"n{self.endpoints}")
        return "/".join(parts)

    def job(self, **more: Any) -> dict[str, Any]:
        """As told to the process."""
        return {**asdict(self), **more}


def matrix() -> list[Cell]:
    """Every cell of the published table."""
    return [*_clients(), *_composed(), *_sync(), *_fleet(), *_bodies(), *_pairs()]


def _clients() -> Iterator[Cell]:
    for loop in LOOPS:
        for many in IN_FLIGHT:
            for client in ("meshlib", "aiohttp", "pyreqwest"):
                yield Cell(client=client, loop=loop, in_flight=many, group="Clients")
    for many in (1, 32):
        yield Cell(client="meshlib.httpx2", in_flight=many, group="Clients")
        yield Cell(client="httpx2", in_flight=many, group="Clients")
        yield Cell(client="httpx", in_flight=many, sniffio=True, group="Clients")
        yield Cell(client="httpx", in_flight=many, group="Clients")


def _composed() -> Iterator[Cell]:
    yield Cell(client="aiohttp stack", in_flight=32, group="Composed by hand")
    yield Cell(client="httpx stack", sniffio=True, group="Composed by hand")
    for many in (1, 32):
        yield Cell(client="httpx on mesh", in_flight=many, group="Foreign clients on the mesh")
        yield Cell(client="httpx2 on mesh", in_flight=many, group="Foreign clients on the mesh")


def _sync() -> Iterator[Cell]:
    for client in ("meshlib", "httpx", "urllib3"):
        yield Cell(client=client, loop="threads", group="Sync clients")
    for many in (4, 16):
        yield Cell(client="meshlib", loop="threads", in_flight=many, group="Sync clients")
    yield Cell(client="urllib3", loop="threads", in_flight=16, group="Sync clients")


def _fleet() -> Iterator[Cell]:
    for count in (1, 1000):
        yield Cell(client="meshlib", endpoints=count, scale=1.5, group="Fleet size")
    yield Cell(client="httpx", endpoints=100, sniffio=True, group="Fleet size")


def _bodies() -> Iterator[Cell]:
    for many in (1, 32):
        for client in ("meshlib", "aiohttp"):
            yield Cell(client=client, in_flight=many, body="16k", group="Bodies")
    for client, sniffio in (("meshlib", False), ("aiohttp", False), ("httpx", True)):
        yield Cell(client=client, body="1m", sniffio=sniffio, group="Bodies")
    for client, loop in (("meshlib", "asyncio"), ("meshlib", "threads"), ("httpx", "asyncio")):
        yield Cell(client=client, loop=loop, body="1g", kind="download", group="Downloads")


def _pairs() -> Iterator[Cell]:
    for many in (1, 32):
        yield Cell(client="layers", in_flight=many, kind="pairs", scale=4.0, group="Layers")
    yield Cell(client="bare mesh", group="Sidecar")
    yield Cell(client="sidecar", kind="pairs", scale=4.0, group="Sidecar")

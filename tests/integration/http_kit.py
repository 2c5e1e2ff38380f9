"""What the HTTP tests share: one way to drive both clients, and what a mesh must look like when all is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from meshlib.mesh import Mesh
from meshlib.runtime import Runtime
from meshlib.testing import Services
from meshlib.transport.client import AsyncClient, Client

__all__ = ["KINDS", "Side", "eventually", "in_flight", "open_side", "settled", "uri"]

KINDS = ("sync", "async")


class Side:
    """A Client, or an AsyncClient on a loop of its own, driven the same way. `plain` makes it httpx's."""

    def __init__(self, kind: str, *arguments: Any, plain: bool = False, **options: Any) -> None:
        self.kind = kind
        self.runner = asyncio.Runner() if kind == "async" else None
        if plain:
            make: Any = httpx.AsyncClient if self.runner else httpx.Client
        else:
            make = AsyncClient if self.runner else Client
        self.client: Any = make(*arguments, **options)

    def run(self, result: Any) -> Any:
        """A value, or what a coroutine brings."""
        return result if self.runner is None else self.runner.run(result)

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """As the client's."""
        response: httpx.Response = self.run(self.client.request(method, url, **options))
        return response

    def get(self, url: str, **options: Any) -> httpx.Response:
        """A GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """A POST."""
        return self.request("POST", url, **options)

    def open(self, method: str, url: str, **options: Any) -> httpx.Response:
        """A streamed response, still open."""
        request = self.client.build_request(method, url, **options)
        response: httpx.Response = self.run(self.client.send(request, stream=True))
        return response

    def read(self, response: httpx.Response) -> bytes:
        """The rest of a streamed response."""
        content: bytes = self.run(response.read() if self.runner is None else response.aread())
        return content

    def shut(self, response: httpx.Response) -> None:
        """Close a streamed response."""
        self.run(response.close() if self.runner is None else response.aclose())

    @property
    def runtime(self) -> Runtime:
        """The client's mesh."""
        found: Runtime = self.client._mesh
        return found

    def close(self) -> None:
        """Close client and loop."""
        self.run(self.client.close() if self.runner is None else self.client.aclose())
        if self.runner is not None:
            self.runner.close()


@contextmanager
def open_side(kind: str, *arguments: Any, **options: Any) -> Iterator[Side]:
    """A Side that is closed at the end."""
    side = Side(kind, *arguments, **options)
    try:
        yield side
    finally:
        side.close()


def uri(*servers: Any) -> str:
    """The static discovery URI of these servers."""
    return "static://" + ",".join(server.address for server in servers)


def in_flight(mesh: Mesh | Runtime) -> int:
    """Attempts in flight in all services, after what finalisers left was settled."""
    runtime = mesh if isinstance(mesh, Runtime) else mesh.runtime
    total = 0
    for service in list(runtime.services.values()):
        for cluster in service.clusters.values():
            cluster.collect(runtime.clock())
            total += sum(node.in_flight for node in cluster.nodes.values())
    return total


def eventually(reached: Callable[[], bool], within: float = 5.0) -> bool:
    """Whether `reached` comes true in time."""
    until = time.monotonic() + within
    while not reached():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def settled(services: Services, connections: int) -> None:
    """Require that no more than so many connections stay open in all."""
    assert eventually(lambda: sum(server.open_connections for server in services) <= connections), [
        server.open_connections for server in services
    ]

"""What the HTTP tests share: the wires and families they run on, one way to drive both clients, and how a mesh must look
when all is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest

from meshlib.mesh import Mesh
from meshlib.runtime import Runtime
from meshlib.testing import Services
from meshlib.transport.families import clients

__all__ = [
    "EACH_WIRE",
    "KINDS",
    "LONG",
    "STACKS",
    "Kit",
    "Side",
    "Stack",
    "eventually",
    "in_flight",
    "settled",
    "uri",
]

LONG = b"x" * 2_000_000
"""A body that is never whole with its head: what is whole at once is no stream any more."""
WIRES = ("lean", "httpx")
"""What the policy's `wire` may say. Every test with a `kit` or a `stack` runs on each, with each family."""
FAMILIES = ("httpx", "httpx2")
KINDS = ("sync", "async")
STACKS = [(wire, family) for wire in WIRES for family in FAMILIES]
EACH_WIRE = pytest.mark.parametrize(
    "kit", [(kind, wire, FAMILIES[0]) for wire in WIRES for kind in KINDS], indirect=True, ids="-".join
)
"""For long tests with a `kit`: one family is enough where only the wire can make a difference."""


class Stack:
    """A wire and a client family. `http` is the family's module, `Client` and `AsyncClient` are ours on it."""

    def __init__(self, wire: str, family: str) -> None:
        self.wire = wire
        self.family = family
        self.http: Any = import_module(family)
        self.Client: Any = clients(family).Client
        self.AsyncClient: Any = clients(family).AsyncClient

    def policy(self, policy: Mapping[str, Any] | None = None, /, **keys: Any) -> dict[str, Any]:
        """These keys, and the wire."""
        return {"wire": self.wire, **(policy or {}), **keys}

    def mesh(self, services: Mapping[str, Any], **arguments: Any) -> Mesh:
        """A mesh that knows these services."""
        return Mesh(policy=self.policy(services=services), telemetry=False, **arguments)

    def client(self, mesh: Mesh, *arguments: Any, **options: Any) -> Any:
        """The family's client on a mesh."""
        return mesh.client(*arguments, family=self.family, **options)

    def async_client(self, mesh: Mesh, *arguments: Any, **options: Any) -> Any:
        """The same for asyncio."""
        return mesh.async_client(*arguments, family=self.family, **options)


class Kit(Stack):
    """A Stack, and whether its clients are driven from threads or from a loop (`kind`)."""

    def __init__(self, kind: str, wire: str, family: str) -> None:
        super().__init__(wire, family)
        self.kind = kind

    def made(self, *arguments: Any, plain: bool = False, **options: Any) -> Side:
        """A Side of our client; `plain` makes it the family's own. The policy says which wire, unless a mesh does."""
        if not plain and options.get("mesh") is None:
            options["policy"] = self.policy(options.get("policy"))
        owner = self.http if plain else self
        return Side(
            self.kind, owner.AsyncClient if self.kind == "async" else owner.Client, arguments, options
        )

    @contextmanager
    def side(self, *arguments: Any, plain: bool = False, **options: Any) -> Iterator[Side]:
        """A Side that is closed at the end."""
        side = self.made(*arguments, plain=plain, **options)
        try:
            yield side
        finally:
            side.close()

    def transport(self, mesh: Mesh, **wire: Any) -> Any:
        """The mesh as a transport of this family and kind."""
        make: Any = mesh.async_transport if self.kind == "async" else mesh.transport
        return make(family=self.family, **wire)


class Side:
    """A Client, or an AsyncClient on a loop of its own, driven the same way."""

    def __init__(self, kind: str, make: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.kind = kind
        self.runner = asyncio.Runner() if kind == "async" else None
        self.client: Any = make(*arguments, **options)

    def run(self, result: Any) -> Any:
        """A value, or what a coroutine brings."""
        return result if self.runner is None else self.runner.run(result)

    def request(self, method: str, url: str, **options: Any) -> Any:
        """As the client's."""
        return self.run(self.client.request(method, url, **options))

    def get(self, url: str, **options: Any) -> Any:
        """A GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Any:
        """A POST."""
        return self.request("POST", url, **options)

    def open(self, method: str, url: str, **options: Any) -> Any:
        """A streamed response, still open."""
        request = self.client.build_request(method, url, **options)
        return self.run(self.client.send(request, stream=True))

    def read(self, response: Any) -> bytes:
        """The rest of a streamed response."""
        content: bytes = self.run(response.read() if self.runner is None else response.aread())
        return content

    def shut(self, response: Any) -> None:
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

"""meshlib: everything on, unless a client's name says otherwise. The wire is the one that the run was told to use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import TYPE_CHECKING, Any

from benchmarks.e2e.job import Job, short
from benchmarks.e2e.load import Client

if TYPE_CHECKING:
    from meshlib import Mesh

__all__ = ["ASYNC", "OFF", "SYNC", "call_of", "carried", "mesh_of"]

SERVICE = "bench"
OFF: dict[str, Any] = {
    "timeout": False,
    "retry": False,
    "breaker": False,
    "limit": False,
    "ejection": False,
    "balancer": "round_robin",
}
"""No policies: what is left is discovery, the plainest of balancers, and the wire."""


def mesh_of(job: Job, policy: dict[str, Any] | None = None, **arguments: Any) -> Mesh:
    """A mesh that knows the server's endpoints, with the default policy or this one."""
    from meshlib import Mesh

    service = {"discovery": f"static://{','.join(job.addresses)}", "wire": job.wire, **(policy or {})}
    return Mesh(policy={"services": {SERVICE: service}}, **arguments)


def call_of(client: Any, job: Job, path: str = "") -> Callable[[], Any]:
    """One checked request by an async client."""
    where, size = path or job.path, job.size

    async def call() -> None:
        response = await client.get(where)
        if len(response.content) != size or response.status_code != 200:
            raise short(len(response.content), job)

    return call


def _warm(mesh: Mesh, job: Job) -> Callable[[], bool] | None:
    """Whether every endpoint of a fleet has been called; for a few, warm-up does that by itself."""
    if len(job.addresses) <= 3:
        return None

    def ready() -> bool:
        nodes = mesh.state()["services"].get(SERVICE, {"clusters": {}})["clusters"].get("", {}).get("nodes")
        return bool(nodes) and all(node["calls"] for node in nodes)

    return ready


def carried(mesh: Mesh) -> str:
    """The classes of the wires that were made: what `wire = "auto"` came to."""
    return ", ".join(sorted({type(wire).__name__ for wire, _ in mesh.runtime.pools.all()}))


def _of(mesh: Mesh, call: Callable[[], Any], ready: Callable[[], bool] | None = None) -> Client:
    return Client(call, ready, lambda: carried(mesh))


@asynccontextmanager
async def _meshlib(job: Job) -> AsyncIterator[Client]:
    from meshlib import AsyncClient

    with mesh_of(job) as mesh:
        async with AsyncClient(f"http://{SERVICE}", mesh=mesh) as client:
            yield _of(mesh, call_of(client, job), _warm(mesh, job))


@asynccontextmanager
async def _meshlib_httpx2(job: Job) -> AsyncIterator[Client]:
    from meshlib.httpx2 import AsyncClient

    with mesh_of(job) as mesh:
        async with AsyncClient(f"http://{SERVICE}", mesh=mesh) as client:
            yield _of(mesh, call_of(client, job))


@asynccontextmanager
async def _bare_mesh(job: Job) -> AsyncIterator[Client]:
    from meshlib import AsyncClient

    with mesh_of(job, OFF, telemetry=False) as mesh:
        async with AsyncClient(f"http://{SERVICE}", mesh=mesh) as client:
            yield _of(mesh, call_of(client, job))


def _on_mesh(family: str) -> Callable[[Job], AbstractAsyncContextManager[Client]]:
    @asynccontextmanager
    async def client_of(job: Job) -> AsyncIterator[Client]:
        from importlib import import_module

        module: Any = import_module(family)
        with mesh_of(job) as mesh:
            made: Any = mesh.async_transport
            transport = made() if family == "httpx" else made(family=family)
            async with module.AsyncClient(transport=transport) as client:
                yield _of(mesh, call_of(client, job, f"http://{SERVICE}{job.path}"))

    return client_of


@contextmanager
def _meshlib_sync(job: Job) -> Iterator[Client]:
    from meshlib import Client as SyncClient

    where, size = job.path, job.size
    with mesh_of(job) as mesh, SyncClient(f"http://{SERVICE}", mesh=mesh) as client:

        def call() -> None:
            response = client.get(where)
            if len(response.content) != size or response.status_code != 200:
                raise short(len(response.content), job)

        yield _of(mesh, call)


ASYNC: dict[str, Callable[[Job], AbstractAsyncContextManager[Client]]] = {
    "meshlib": _meshlib,
    "meshlib.httpx2": _meshlib_httpx2,
    "bare mesh": _bare_mesh,
    "httpx on mesh": _on_mesh("httpx"),
    "httpx2 on mesh": _on_mesh("httpx2"),
}
SYNC: dict[str, Callable[[Job], AbstractContextManager[Client]]] = {"meshlib": _meshlib_sync}

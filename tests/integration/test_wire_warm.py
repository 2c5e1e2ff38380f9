"""Connections made ahead of the request that needs them, because somebody asked the control path for it."""

from __future__ import annotations

import asyncio

import pytest

from meshlib.mesh import Mesh
from meshlib.testing import Services
from tests.integration.http_kit import eventually

pytestmark = pytest.mark.integration


def a_mesh(services: Services) -> Mesh:
    return Mesh(policy={"wire": "lean", "services": {"orders": {"discovery": services.uri}}}, telemetry=False)


def open_at(services: Services) -> list[int]:
    return [server.open_connections for server in services]


def test_threads() -> None:
    """One request has shown the way; then every endpoint has a connection, and asking twice makes no second one."""
    with Services(3) as services, a_mesh(services) as mesh, mesh.client("orders") as client:
        assert client.get("/").status_code == 200
        assert sum(open_at(services)) == 1
        for _ in range(2):
            mesh.warm("orders")
            eventually(lambda: open_at(services) == [1, 1, 1])
        for _ in range(9):
            assert client.get("/").status_code == 200
        assert [server.total_connections for server in services] == [1, 1, 1]


async def _loop() -> None:
    with Services(3) as services, a_mesh(services) as mesh:
        async with mesh.async_client("orders") as client:
            assert (await client.get("/")).status_code == 200
            mesh.warm("orders", services[2].address)
            mesh.warm("orders", services[1].address)
            for _ in range(100):
                if sum(open_at(services)[1:]) == 2:
                    break
                await asyncio.sleep(0.02)
            assert open_at(services)[1:] == [1, 1]


def test_loop() -> None:
    """On the loop that has called the service; one address at a time."""
    asyncio.run(_loop())


def test_what_cannot_be_connected_is_left_to_the_request() -> None:
    """No error, nothing counted, nothing left open."""
    with Services(2) as services, a_mesh(services) as mesh, mesh.client("orders") as client:
        assert client.get("/").status_code == 200
        idle = next(server for server in services if not server.open_connections)
        idle.refuse()
        mesh.warm("orders", idle.address)
        mesh.warm("nobody")
        idle.restore()
        eventually(lambda: open_at(services) in ([1, 0], [0, 1], [1, 1]))
        assert all(client.get("/").status_code == 200 for _ in range(4))

"""What type checkers must see of the httpx2 twins. Checked by mypy, never run."""

from typing import assert_type

import httpx
import httpx2

from meshlib import Client as HttpxClient
from meshlib import Mesh
from meshlib.httpx2 import AsyncClient, Client


def clients_are_httpx2s(client: Client, mesh: Mesh) -> None:
    plain: httpx2.Client = client
    assert_type(client.get("/"), httpx2.Response)
    assert_type(client.build_request("GET", "/"), httpx2.Request)
    assert_type(client.send(httpx2.Request("GET", "/")), httpx2.Response)
    assert_type(client.timeout, httpx2.Timeout)
    assert_type(mesh.client("http://orders", family="httpx2"), Client)
    assert_type(mesh.client("http://orders", family="httpx"), HttpxClient)
    plain.close()
    client.send(httpx.Request("GET", "/"))  # type: ignore[arg-type]


async def async_clients_are_httpx2s(mesh: Mesh) -> None:
    async with AsyncClient("http://orders") as client:
        plain: httpx2.AsyncClient = client
        assert_type(await plain.get("/"), httpx2.Response)
        assert_type(await client.send(client.build_request("GET", "/")), httpx2.Response)
    assert_type(mesh.async_client("http://orders", family="httpx2"), AsyncClient)


def transports_are_of_their_family(mesh: Mesh) -> None:
    httpx.Client(transport=mesh.transport())
    httpx.AsyncClient(transport=mesh.async_transport(verify=False))
    httpx2.Client(transport=mesh.transport(family="httpx2"))
    httpx2.AsyncClient(transport=mesh.async_transport(family="httpx2", http2=True))
    httpx.Client(transport=mesh.transport(family="httpx2"))  # type: ignore[arg-type]
    httpx2.AsyncClient(transport=mesh.async_transport())  # type: ignore[arg-type]

"""What type checkers must see of the public face. Checked by mypy, never run."""

from typing import assert_type

import httpx

from meshlib import AsyncClient, Client, Mesh, MeshError, NoEndpointError, circuit_breaker, retry, timeout


def client_is_an_httpx_client(client: Client, mesh: Mesh) -> None:
    plain: httpx.Client = client
    assert_type(client.get("/"), httpx.Response)
    assert_type(mesh.client("http://orders"), Client)
    plain.close()


async def async_client_is_an_httpx_client(mesh: Mesh) -> None:
    async with AsyncClient("http://orders") as client:
        plain: httpx.AsyncClient = client
        assert_type(await plain.get("/"), httpx.Response)
    assert_type(mesh.async_client("http://orders"), AsyncClient)


@circuit_breaker("payments")
def charge(amount: int, currency: str = "eur") -> str:
    return f"{amount} {currency}"


@retry
async def fetch(key: bytes) -> int:
    return len(key)


@timeout(2.0)
def slow() -> None: ...


async def decorators_keep_signatures() -> None:
    assert_type(charge(1, currency="usd"), str)
    assert_type(await fetch(b"k"), int)
    slow()
    charge("1")  # type: ignore[arg-type]
    await fetch()  # type: ignore[call-arg]


def errors_are_both(error: NoEndpointError) -> MeshError:
    return error

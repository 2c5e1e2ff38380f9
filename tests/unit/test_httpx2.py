"""`meshlib.httpx2`: the same clients on the other family, and nothing of the family that is not used."""

from __future__ import annotations

import subprocess
import sys

import pytest

httpx2 = pytest.importorskip("httpx2")

USE = """
import asyncio, sys
from {module} import AsyncClient, Client
from meshlib import Mesh
import {family}
from meshlib.testing import FaultServer

with FaultServer() as server:
    where = "static://" + server.address
    with Client("orders", discovery=where, timeout=5.0) as client:
        assert client.get("/").status_code == 200
        with client.stream("GET", "/") as response:
            response.read()
    async def main():
        async with AsyncClient("orders", discovery=where) as client:
            assert (await client.get("/")).status_code == 200
    asyncio.run(main())
    with Mesh(policy={{"services": {{"orders": {{"discovery": where}}}}}}) as mesh:
        with {family}.Client(transport=mesh.transport(family="{family}")) as client:
            assert client.get("http://orders/").status_code == 200
with Client("orders", discovery="static://127.0.0.1:1", policy={{"retry": False}}) as client:
    try:
        client.get("/")
    except {family}.ConnectError:
        print(*sorted(name for name in sys.modules if name.partition(".")[0] in {others}))
"""
CASES = {
    "httpx": ("meshlib", "httpx", ("httpx2", "httpcore2")),
    "httpx2": ("meshlib.httpx2", "httpx2", ("httpx", "httpcore")),
}


@pytest.mark.parametrize("family", CASES)
def test_the_other_family_is_never_imported(family: str) -> None:
    """Sync and async, buffered and streamed, a client and a transport, an error: all of it without the other one.

    No name is looked up here, because dnspython imports the httpx2 that it finds, for DNS over HTTPS.
    """
    module, used, others = CASES[family]
    code = USE.format(module=module, family=used, others=others)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_clients_are_httpx2s() -> None:
    """Real subclasses, as the types say."""
    from meshlib.httpx2 import AsyncClient, Client

    assert issubclass(Client, httpx2.Client)
    assert issubclass(AsyncClient, httpx2.AsyncClient)
    with Client("http://orders/v1", discovery="static://127.0.0.1:1") as client:
        assert str(client.base_url) == "http://orders/v1/"
        request = client.build_request("GET", "x", timeout=2.0)
        assert isinstance(request, httpx2.Request)
        assert client.timeout == httpx2.Timeout(None)


def test_aliased_applications_work() -> None:
    """`httpx2.alias_httpx()` makes httpx another name of httpx2: both of our modules then are of one family."""
    code = """
import httpx2
httpx2.alias_httpx()
import httpx, meshlib, meshlib.httpx2
from meshlib.testing import FaultServer
with FaultServer() as server:
    for kind in (meshlib.Client, meshlib.httpx2.Client):
        with kind("orders", discovery="static://" + server.address, timeout=httpx.Timeout(5)) as client:
            assert isinstance(client, httpx2.Client) and isinstance(client.get("/"), httpx2.Response)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr

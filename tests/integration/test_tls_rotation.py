"""Certificates that change while calls are made, on every wire: no request notices, and no connection outlives its identity."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meshlib.mesh import Mesh
from meshlib.runtime import Runtime
from meshlib.security.identity import FileIdentity
from tests.integration.http_kit import EACH_WIRE, Kit, Side, eventually
from tests.integration.tls_wires import ORDERS, WEB, Shop, TlsServer, connections, versions
from tests.integration.wire_kit import sockets
from tests.tls import Pki

pytestmark = pytest.mark.integration

BY_ID: dict[str, Any] = {"mode": "strict", "spiffe_ids": [ORDERS]}
ONCE: dict[str, Any] = {"retry": False}
"""A request that fails is not repeated: each failure is seen."""
WORKERS = 4


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at often, so that the tests need not wait."""
    monkeypatch.setattr("meshlib.runtime.security.FileIdentity", partial(FileIdentity, every=0.02))


@pytest.fixture
def shop(kit: Kit, tmp_path: Path) -> Iterator[Shop]:
    """A shop a test; afterwards there are as many sockets as before."""
    before = sockets()
    yield Shop(kit, Pki(), tmp_path)
    assert eventually(lambda: sockets() <= before)


@contextmanager
def loaded(side: Side, seen: list[str], failures: list[str]) -> Iterator[None]:
    """Some workers that do nothing but post, while the block runs."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                seen.append(side.client.post("/", content=b"x").text)
            except Exception as error:
                failures.append(repr(error))

    async def works() -> None:
        async def work() -> None:
            while not over.is_set():
                try:
                    seen.append((await side.client.post("/", content=b"x")).text)
                except Exception as error:
                    failures.append(repr(error))

        await asyncio.gather(*[work() for _ in range(WORKERS)])

    if side.runner is None:
        threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    else:
        threads = [threading.Thread(target=lambda: side.run(works()))]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(10.0)


def renewed(runtime: Runtime, write: Callable[[], object]) -> None:
    """Write files, and wait until they are in force."""
    done = versions(runtime)
    write()
    assert eventually(done)


def served(server: TlsServer, number: int = 60) -> None:
    """Wait for so many more requests."""
    wanted = len(server.requests) + number
    assert eventually(lambda: len(server.requests) >= wanted)


@EACH_WIRE
def test_nobody_notices(shop: Shop) -> None:
    """Our certificate, the server's, then the authority on both sides, under load: not one request fails, and each change
    is seen by the server, whose connections are as few as before."""
    pki, other, theirs = shop.pki, Pki(), shop.folder / "theirs"
    theirs.mkdir()
    seen: list[str] = []
    failures: list[str] = []
    with (
        Mesh(policy={"tls": pki.write(theirs, "orders")}, telemetry=False) as owner,
        TlsServer(owner.server_ssl_context(), named=False) as server,
        shop.mesh({"orders": {"discovery": f"static://{server.address}", "tls": BY_ID} | ONCE}) as mesh,
        shop.kit.side("http://orders", mesh=mesh) as side,
        loaded(side, seen, failures),
    ):
        both = [(mesh.runtime, shop.folder, "web"), (owner.runtime, theirs, "orders")]
        served(server)
        for changed, folder, name in both:
            renewed(changed, lambda f=folder, n=name: pki.write(f, n))
            served(server)
        pki.ca, other.ca = pki.ca + other.ca, pki.ca + other.ca
        for changed, folder, name in both:
            renewed(changed, lambda f=folder, n=name: pki.write(f, n))
        for changed, folder, name in both:
            renewed(changed, lambda f=folder, n=name: other.write(f, n))
            served(server)
        other.ca = other.authority.certificate
        for changed, folder, name in both:
            renewed(changed, lambda f=folder, n=name: other.write(f, n))
        served(server)
        assert eventually(lambda: server.open <= WORKERS)
        assert len(set(server.serials)) == 5  # the first, and each that we renewed
    assert failures == []
    assert set(seen) == {WEB}


def test_old_connections_end(shop: Shop) -> None:
    """Idle ones with the next call, which shows the new certificate; a streamed response goes on to its end first."""
    with TlsServer(shop.context()) as server, shop.side(server, tls=BY_ID) as side:
        response = side.open("GET", "/long")
        assert side.get("/").text == WEB
        assert connections(side) == len(server.peers) == 2
        renewed(side.runtime, lambda: shop.pki.write(shop.folder, "web"))
        assert side.post("/", content=b"x").text == WEB
        assert eventually(
            lambda: side.get("/").text == WEB and server.open == 2
        )  # the one in use, and the new one
        assert connections(side) == 2
        assert len(set(server.serials)) == 2
        assert server.serials[0] == server.serials[1] != server.serials[2]
        server.halfway.set()
        assert len(side.read(response)) == 200_000
        assert side.post("/", content=b"x").text == WEB
        assert connections(side) == 1
        assert server.settled(1)
        assert len(server.peers) == 3


def test_broken_files(shop: Shop) -> None:
    """The old identity stays, for new connections too, and state() says what is wrong until it is mended."""
    with TlsServer(shop.context(), closing=True) as server, shop.side(server, tls=BY_ID) as side:
        runtime = side.runtime
        assert side.get("/").text == WEB
        key = shop.folder / "web-key.pem"
        key.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
        said = f"{key}: holds no private key in PEM, or one that cannot be read"
        assert eventually(lambda: runtime.identities.state()[0]["error"] == said)
        for _ in range(3):
            assert side.get("/").text == WEB
        assert len(set(server.serials)) == 1
        shop.pki.write(shop.folder, "web")
        assert eventually(lambda: runtime.identities.state()[0]["error"] == "")
        assert side.get("/").text == WEB
        assert len(set(server.serials)) == 2


def test_an_authority_that_is_dropped(shop: Shop) -> None:
    """Its servers are refused from then on, although a session with them and a connection to them were open."""
    other = Pki()
    with TlsServer(shop.context()) as server, shop.side(server, tls=BY_ID) as side:
        assert side.get("/").text == WEB
        renewed(side.runtime, lambda: other.write(shop.folder, "web"))

        def refused() -> bool:
            with pytest.raises(shop.kit.http.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                side.post("/", content=b"x")
            return True

        assert refused()
        assert eventually(lambda: refused() and connections(side) == 0)
        assert len(server.requests) == 1

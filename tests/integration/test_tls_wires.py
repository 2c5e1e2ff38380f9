"""TLS by policy on every wire: the code says `http://orders`, policy says how it travels and who has to be there."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshlib.core.endpoint import Endpoint
from meshlib.core.override import Override
from meshlib.core.snapshot import EndpointSet
from meshlib.errors import ConfigError
from tests.integration.http_kit import Kit, eventually
from tests.integration.tls_wires import CALM, ORDERS, WEB, Shop, TlsServer, connections
from tests.integration.wire_kit import sockets
from tests.tls import Pki

pytestmark = pytest.mark.integration

BY_ID: dict[str, Any] = {"mode": "strict", "spiffe_ids": [ORDERS]}


@pytest.fixture(scope="module")
def pki() -> Pki:
    """One authority for all that only look at what it issued."""
    return Pki()


@pytest.fixture
def shop(kit: Kit, pki: Pki, tmp_path: Path) -> Iterator[Shop]:
    """A shop a test; afterwards there are as many sockets as before."""
    before = sockets()
    yield Shop(kit, pki, tmp_path)
    assert eventually(lambda: sockets() <= before)


@pytest.mark.parametrize("tls", ["strict", BY_ID], ids=["name", "identity"])
def test_strict(shop: Shop, tls: Any) -> None:
    """Encrypted both ways of accepting the peer; the server knows us by our SPIFFE ID and was asked for by the logical name."""
    with TlsServer(shop.context()) as server, shop.side(server, tls=tls) as side:
        for _ in range(3):
            assert side.post("/", content=b"x").text == WEB
        response = side.open("GET", "/")
        assert side.read(response).decode() == WEB
        assert server.names == ["orders"]
        assert b"\r\nhost: orders\r\n" in server.requests[0].lower()
        assert response.extensions["network_stream"].get_extra_info("ssl_object").version() >= "TLSv1.2"
        assert str(response.url) == "http://orders/"


@pytest.mark.parametrize("labels", [{}, {"tls": "true"}, {"security.istio.io/tlsMode": "istio"}])
def test_auto(shop: Shop, labels: dict[str, str]) -> None:
    """The endpoint says whether it speaks TLS."""
    text = ", ".join(f'"{key}" = "{value}"' for key, value in labels.items())
    with TlsServer(shop.context() if labels else None) as server:
        found = shop.folder / "endpoints.toml"
        found.write_text(f'endpoints = [{{address = "{server.address}", labels = {{{text}}}}}]')
        with (
            shop.mesh({"orders": {"discovery": f"file://{found}", "tls": "auto"}}) as mesh,
            shop.kit.side("http://orders", mesh=mesh) as side,
        ):
            assert side.get("/").text == (WEB if labels else "in clear")


def test_auto_obeys_the_url_too(shop: Shop) -> None:
    """https is TLS by the group, label or not."""
    with TlsServer(shop.context()) as server, shop.side(server, tls="auto", url="https://orders") as side:
        assert side.get("/").text == WEB


@pytest.mark.parametrize("tls", ["off", False, None])
def test_off(shop: Shop, tls: Any) -> None:
    """In clear, and https with the client's own settings; without a mode of its own a service has that of its defaults."""
    with TlsServer(None) as server, shop.side(server, tls=tls) as side:
        assert side.get("/").text == "in clear"
    verify = ssl.create_default_context(cafile=shop.files["ca"])
    with (
        TlsServer(shop.context(clients=False)) as server,
        shop.side(server, tls=tls, url="https://orders", verify=verify) as side,
    ):
        assert side.get("/").text == (WEB if tls is None else "None")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_wrong_identity(shop: Shop, streamed: bool) -> None:
    """A ConnectError that names both sides; not a byte of a request, unsent, and nothing stays open."""
    with TlsServer(shop.context("billing", "orders")) as server, shop.side(server, tls=BY_ID) as side:
        with pytest.raises(shop.kit.http.ConnectError) as raised:
            side.open("POST", "/", content=b"x") if streamed else side.post("/", content=b"x")
        said = (
            "orders: the peer's certificate is for spiffe://mesh.test/billing or orders; expected " + ORDERS
        )
        assert said in str(raised.value)
        assert shop.causes == ["unsent"] * 3
        assert {(one.retry_safe, one.delivered) for one in shop.outcomes.seen} == {(True, "no")}
        assert server.received == b""
        assert connections(side) == 0
        assert server.settled(0)


@pytest.mark.parametrize("tls", [{"mode": "strict"}, {"mode": "strict", "sans": ["orders.test"]}])
def test_a_wrong_name(shop: Shop, tls: dict[str, Any]) -> None:
    """By name OpenSSL refuses, and says which name it was; by list we do, and say which names came."""
    with TlsServer(shop.context("billing")) as server, shop.side(server, tls=tls) as side:
        with pytest.raises(shop.kit.http.ConnectError) as raised:
            side.post("/", content=b"x")
        assert ("for 'orders'" if "sans" not in tls else "or billing; expected orders.test") in str(
            raised.value
        )
        assert shop.causes == ["unsent"] * 3
        assert server.received == b""
        assert connections(side) == 0


def test_another_node_is_asked(shop: Shop) -> None:
    """One impostor among two: a POST with a body goes to the other, and the caller sees nothing."""
    with (
        TlsServer(shop.context("billing", "orders")) as wrong,
        TlsServer(shop.context(), closing=True) as right,
        shop.side(wrong, right, tls=BY_ID) as side,
    ):
        for _ in range(40):
            assert side.post("/", content=b"x").text == WEB
            if wrong.peers:
                break
        assert wrong.peers
        assert wrong.received == b""
        assert "unsent" in shop.causes
        assert connections(side) == 0


def wrong(shop: Shop, name: str) -> ssl.SSLContext:
    """A server that does not hold."""
    if name == "expired":
        return shop.context(ago=2.0, hours=1.0)
    if name == "unknown authority":
        return shop.context(pki=Pki())
    context = shop.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("tls", ["strict", BY_ID], ids=["name", "identity"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("expired", "certificate has expired"),
        ("unknown authority", "CERTIFICATE_VERIFY_FAILED"),
        ("old protocol", "(?i)protocol"),
    ],
)
def test_a_server_that_does_not_hold(shop: Shop, name: str, said: str, tls: Any) -> None:
    """Expired, of somebody unknown, or only older than TLS 1.2: whichever way the peer is accepted."""
    with TlsServer(wrong(shop, name)) as server, shop.side(server, tls=tls) as side:
        with pytest.raises(shop.kit.http.ConnectError, match=said):
            side.post("/", content=b"x")
        assert shop.causes == ["unsent"] * 3
        assert server.received == b""
        assert connections(side) == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("ours", ["none", "refused"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_that_refuses_us(shop: Shop, ours: str, version: ssl.TLSVersion, streamed: bool) -> None:
    """In TLS 1.3 its no comes with the first read: unsent all the same, because the request was never looked at."""
    files = {"ca": shop.files["ca"]}
    if ours == "refused":
        (shop.folder / "stranger").mkdir()
        theirs = Pki().write(shop.folder / "stranger", "web")
        files |= {"cert": theirs["cert"], "key": theirs["key"]}
    context = shop.context()
    context.maximum_version = version
    with TlsServer(context) as server, shop.side(server, ours=files, tls=BY_ID) as side:
        with pytest.raises(shop.kit.http.ConnectError) as raised:
            side.open("POST", "/", content=b"x") if streamed else side.post("/", content=b"x")
        assert "alert" in str(raised.value).lower()
        assert shop.causes == ["unsent"] * 3
        assert server.requests == []
        assert connections(side) == 0
        assert server.settled(0)


@pytest.mark.parametrize("kind_of_body", ["much", "parts"])
def test_uploads_to_a_server_that_refuses_us(shop: Shop, kind_of_body: str) -> None:
    """The same while a body is on its way; one that cannot be sent twice is not."""
    pulled = 0

    def parts() -> Iterator[bytes]:
        nonlocal pulled
        for _ in range(40):
            pulled += 1
            yield b"x" * 100_000

    async def later() -> AsyncIterator[bytes]:
        for part in parts():
            yield part

    body = b"x" * 4_000_000 if kind_of_body == "much" else later() if shop.kit.kind == "async" else parts()
    with (
        TlsServer(shop.context()) as server,
        shop.side(server, ours={"ca": shop.files["ca"]}, tls=BY_ID) as side,
    ):
        with pytest.raises(shop.kit.http.TransportError):
            side.post("/", content=body)
        # A body that cannot be sent twice may meet the closing connection before the loop has said why it closes.
        assert shop.causes[0] == "unsent" or (kind_of_body, shop.causes) == ("parts", ["reset"])
        assert len(server.peers) == len(shop.causes)
        assert pulled <= 40
        assert server.requests == []
        assert connections(side) == 0


def test_names(shop: Shop) -> None:
    """`tls.name` is asked for and checked instead of the service's; an endpoint's own name wins over both."""
    tls = {"mode": "strict", "name": "orders.example"}
    with TlsServer(shop.context("orders", "orders.example")) as server, shop.side(server, tls=tls) as side:
        assert side.get("/").text == WEB
        assert server.names == ["orders.example"]
    override = Override(tls_name="one.orders.example")
    with (
        TlsServer(shop.context("orders", "one.orders.example"), closing=True) as server,
        shop.side(server, tls=tls) as side,
    ):
        with pytest.raises(shop.kit.http.ConnectError):
            side.get("/")
        endpoint = Endpoint(host="127.0.0.1", port=server.port, override=override)
        side.runtime.services["orders"].publish_now(EndpointSet([endpoint]))
        assert side.get("/").text == WEB
        assert server.names[-1] == "one.orders.example"


def test_addresses_are_not_asked_for(shop: Shop) -> None:
    """A host that is passed through, with a table of its own: an address is checked as one, and no SNI is sent."""
    with TlsServer(shop.context("orders", "127.0.0.1")) as server:
        table = {server.address: {"tls": "strict"}}
        with shop.mesh(table) as mesh, shop.kit.side(mesh=mesh) as side:
            assert side.get(f"https://{server.address}/").text == WEB
            assert side.get(f"http://{server.address}/").text == WEB
        assert server.names == [None]


def test_hosts_that_are_passed_through(shop: Shop) -> None:
    """`[defaults]` are about our own services: neither our authorities nor our certificate go to somebody else's host."""
    verify = ssl.create_default_context(cafile=shop.files["ca"])
    ours = {**shop.files, "mode": "strict"}
    with TlsServer(shop.context("orders", "127.0.0.1", clients=False)) as server, shop.mesh({}, ours) as mesh:
        with shop.kit.side(mesh=mesh) as side, pytest.raises(shop.kit.http.ConnectError):
            side.get(f"https://{server.address}/")
        with shop.kit.side(mesh=mesh, verify=verify) as side:
            assert side.get(f"https://{server.address}/").text == "None"
    with TlsServer(None) as server, shop.mesh({}, ours) as mesh, shop.kit.side(mesh=mesh) as side:
        assert side.get(f"http://{server.address}/").text == "in clear"


def test_the_group_wins_over_the_client(shop: Shop) -> None:
    """`verify=False` and another certificate of the client change nothing while a group is in force."""
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE
    for verify in (lax, False):
        with (
            TlsServer(shop.context("billing")) as wrong,
            shop.side(wrong, verify=verify, url="https://orders") as side,
        ):
            with pytest.raises(shop.kit.http.ConnectError):
                side.get("/")
            assert wrong.received == b""
        with (
            TlsServer(shop.context()) as right,
            shop.side(right, verify=verify, url="https://orders") as side,
        ):
            assert side.get("/").text == WEB
            assert side.get("/", extensions={"sni_hostname": "other"}).text == WEB
            assert right.names == ["orders"]


def test_sessions(shop: Shop) -> None:
    """Blocking clients make the short handshake when they come back, and their peer is checked as before; loops cannot."""
    with TlsServer(shop.context(), closing=True) as server, shop.side(server, tls=BY_ID) as side:
        for _ in range(3):
            assert side.get("/").text == WEB
        again = shop.kit.kind == "sync"
        assert server.resumed == [False, again, again]
        assert server.who == [WEB] * 3


def test_sessions_of_another_identity(shop: Shop) -> None:
    """A session that was made for one service does not let its peer pass as another."""
    services = {
        name: {"tls": {"mode": "strict", "name": "orders", "spiffe_ids": [f"spiffe://mesh.test/{name}"]}}
        for name in ("orders", "billing")
    }
    with TlsServer(shop.context(), closing=True) as server:
        for keys in services.values():
            keys["discovery"] = f"static://{server.address}"
        with shop.mesh(services) as mesh, shop.kit.side(mesh=mesh) as side:
            assert side.get("http://orders/").text == WEB
            with pytest.raises(shop.kit.http.ConnectError, match=r"expected spiffe://mesh\.test/billing"):
                side.get("http://billing/")
            assert side.get("http://orders/").text == WEB
        assert len(server.requests) == 2


def test_files_that_are_wrong_from_the_start(shop: Shop) -> None:
    """A ConfigError of the first call: it does not fall back to clear text."""
    (shop.folder / "web-key.pem").write_text("nonsense")
    services = {"orders": CALM | {"discovery": "static://127.0.0.1:1", "tls": "strict"}}
    with (
        shop.mesh(services) as mesh,
        shop.kit.side("http://orders", mesh=mesh) as side,
        pytest.raises(ConfigError, match="no private key"),
    ):
        side.get("/")

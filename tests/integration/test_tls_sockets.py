"""Mutual TLS over real sockets: who is let in, who is refused, and rotation while connections are made."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import threading
from contextlib import ExitStack

import pytest

from meshlib.core.listener import Listener
from meshlib.core.uri import service_key
from meshlib.mesh import Mesh
from meshlib.security import PeerIdentityError
from tests.integration.http_kit import eventually
from tests.integration.test_fork_clients import forked
from tests.integration.tls_echo import Echo, aask, ask, presented
from tests.tls import Pki

pytestmark = pytest.mark.integration

IDS = {"mode": "strict", "spiffe_ids": ["spiffe://mesh.test/orders"]}


class Heard(Listener):
    """Collects what is said of identities."""

    def __init__(self):
        self.facts = []

    def event(self, event):
        """Keep it."""
        if event.kind == "identity":
            self.facts.append(event.facts)


@pytest.fixture
def pki():
    """One authority a test."""
    return Pki()


class Scene:
    """A mesh that is `web`, a server that is `orders`, and the folder of their files."""

    def __init__(self, stack, pki, folder, **listening):
        self.pki, self.folder = pki, folder
        self.server_folder, self.client_folder = folder / "server", folder / "client"
        self.server_folder.mkdir()
        self.client_folder.mkdir()
        server = Mesh(policy={"tls": self.renew_server()}, telemetry=False)
        services = {name: {"discovery": "static://127.0.0.1:1", "tls": tls} for name, tls in SERVICES.items()}
        self.mesh = Mesh(
            policy={"tls": self.renew_client(), "services": services}, telemetry=False, **listening
        )
        for mesh in (server, self.mesh):
            stack.enter_context(mesh)
        self.server_mesh = server
        self.server_context = server.server_ssl_context()
        self.echo = stack.enter_context(Echo(self.server_context))

    def renew_server(self, **how):
        return self.pki.write(self.server_folder, "orders", "orders", **how)

    def renew_client(self, **how):
        return self.pki.write(self.client_folder, "web", **how)

    def secured(self, service="orders"):
        """What a new connection to a service needs now."""
        self.mesh.runtime.service(service_key(service))
        return self.mesh.runtime.security(service).connection(self.echo.endpoint, "http", service)

    def ask(self, service="orders", how="sync"):
        """Who the server says that we are."""
        secured = self.secured(service)
        if how == "sync":
            return ask(self.echo.endpoint, secured)
        return asyncio.run(aask(self.echo.endpoint, secured))

    @property
    def identity(self):
        """What state() says of us."""
        return self.mesh.state()["identities"][0]


SERVICES = {
    "orders": IDS,
    "named": {"mode": "strict", "name": "orders"},
    "wrong-name": {"mode": "strict"},
    "wrong-id": {"mode": "strict", "spiffe_ids": ["spiffe://mesh.test/billing"]},
    "off": "off",
}


@pytest.fixture
def scene(pki, tmp_path):
    """Both sides."""
    with ExitStack() as stack:
        yield Scene(stack, pki, tmp_path)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_both_sides_are_known(scene, how):
    """By identity and by name; the server learns who calls."""
    assert scene.ask("orders", how) == "spiffe://mesh.test/web"
    assert scene.ask("named", how) == "spiffe://mesh.test/web"


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize(
    ("service", "error", "said"),
    [
        ("wrong-name", ssl.SSLCertVerificationError, "Hostname mismatch"),
        (
            "wrong-id",
            PeerIdentityError,
            r"is for spiffe://mesh\.test/orders or orders; expected spiffe://mesh\.test/billing",
        ),
    ],
)
def test_the_wrong_peer_is_refused(scene, how, service, error, said):
    """Before a byte is sent."""
    with pytest.raises(error, match=said):
        scene.ask(service, how)


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize(
    ("other", "said"),
    [("authority", "unable to get local issuer|self.signed|signature"), ("time", "has expired")],
)
def test_a_certificate_that_does_not_hold(pki, tmp_path, how, other, said):
    """An unknown authority, an expired certificate: whatever it claims to be."""
    stranger = Pki() if other == "authority" else pki
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    theirs.mkdir()
    mine.mkdir()
    files = stranger.write(theirs, "orders", **({"ago": 2, "hours": 1} if other == "time" else {}))
    ours = pki.write(mine, "web")
    services = {"orders": {"discovery": "static://127.0.0.1:1", "tls": IDS}}
    with Mesh(policy={"tls": ours, "services": services}, telemetry=False) as mesh:
        context = mesh.server_ssl_context(ca=ours["ca"], cert=files["cert"], key=files["key"])
        mesh.runtime.service(service_key("orders"))
        with Echo(context) as echo:
            secured = mesh.runtime.security("orders").connection(echo.endpoint, "http", "orders")
            with pytest.raises(ssl.SSLCertVerificationError, match=said):
                ask(echo.endpoint, secured) if how == "sync" else asyncio.run(aask(echo.endpoint, secured))


def test_sessions_are_resumed(scene):
    """The second blocking connection is the short handshake; the peer's identity is compared all the same."""
    assert scene.ask("orders") == "spiffe://mesh.test/web"
    assert scene.ask("orders") == "spiffe://mesh.test/web again"
    scene.renew_client()
    before = scene.identity["version"]
    eventually(lambda: scene.identity["version"] > before)
    assert scene.ask("orders") == "spiffe://mesh.test/web"


def test_rotation_under_load(scene):
    """Both sides change their certificates, one file after the other, and not one connection fails."""
    failures, made, over = [], [], threading.Event()

    def work(how):
        while not over.is_set():
            try:
                assert scene.ask("orders", how).startswith("spiffe://mesh.test/web")
                made.append(how)
            except Exception as error:
                failures.append(repr(error))

    workers = [threading.Thread(target=work, args=(how,)) for how in ("sync", "sync", "async")]
    for worker in workers:
        worker.start()
    old = presented(scene.echo.endpoint, scene.secured())
    for _ in range(2):
        ours, theirs = scene.identity["version"], scene.server_mesh.state()["identities"][0]["version"]
        scene.renew_client()
        scene.renew_server()
        eventually(lambda ours=ours: scene.identity["version"] > ours)
        eventually(lambda theirs=theirs: scene.server_mesh.state()["identities"][0]["version"] > theirs)
    over.set()
    for worker in workers:
        worker.join(10)
    assert failures == []
    assert {"sync", "async"} <= set(made)
    assert presented(scene.echo.endpoint, scene.secured()) != old


def test_a_broken_new_file(pki, tmp_path, caplog):
    """The old identity stays and works; the event, the log and state() say why, and when it is over."""
    caplog.set_level(logging.INFO, "meshlib")
    heard = Heard()
    with ExitStack() as stack:
        scene = Scene(stack, pki, tmp_path, listeners=[heard])
        scene.ask()
        version = scene.identity["version"]
        key = scene.client_folder / "web-key.pem"
        key.write_text("-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----\n")
        eventually(lambda: scene.identity["error"] != "")
        assert scene.identity["error"] == f"{key}: holds no private key in PEM, or one that cannot be read"
        assert scene.identity["version"] == version
        assert scene.ask("named") == "spiffe://mesh.test/web"
        scene.renew_client()
        eventually(lambda: scene.identity["error"] == "" and scene.identity["version"] > version)
        assert scene.ask() == "spiffe://mesh.test/web"
    assert [bool(facts.get("error")) for facts in heard.facts] == [True, False, False]
    lines = [record.getMessage() for record in caplog.records if "tls:" in record.getMessage()]
    assert (
        f"tls: {key}: holds no private key in PEM, or one that cannot be read; what is in force stays so"
        in lines
    )
    assert any("a new version is in force" in line for line in lines)
    assert "garbage" not in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights there")
def test_kubernetes_swaps_a_link(pki, tmp_path):
    """A mounted secret changes by one rename of the `..data` link."""
    first, second = tmp_path / "..1", tmp_path / "..2"
    for folder in (first, second):
        folder.mkdir()
        pki.write(folder, "web")
    (tmp_path / "..data").symlink_to(first)
    tls = {"ca": "ca.pem", "cert": "web.pem", "key": "web-key.pem"}
    for name in tls.values():
        (tmp_path / name).symlink_to(tmp_path / "..data" / name)
    files = {part: str(tmp_path / name) for part, name in tls.items()}
    services = {"orders": {"discovery": "static://127.0.0.1:1", "tls": "strict"}}
    with Mesh(policy={"tls": files, "services": services}, telemetry=False) as mesh:
        mesh.runtime.service(service_key("orders"))
        before = mesh.runtime.security("orders").version
        (tmp_path / "..new").symlink_to(second)
        os.rename(tmp_path / "..new", tmp_path / "..data")
        eventually(lambda: mesh.runtime.security("orders").version > before)
        assert mesh.state()["identities"][0]["error"] == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_follows_the_files(scene):
    """Contexts work on in the child, and its files are looked at again; so a pre-forking server's workers rotate."""
    assert scene.ask() == "spiffe://mesh.test/web"

    def child():
        first = scene.ask("named")
        versions = scene.secured().version, scene.server_mesh.state()["identities"][0]["version"]
        scene.server_context.current  # noqa: B018  (what a connection does)
        scene.renew_client()
        scene.renew_server()
        eventually(lambda: scene.secured().version > versions[0])
        eventually(lambda: scene.server_mesh.state()["identities"][0]["version"] > versions[1])
        return [first, scene.ask()]

    assert forked(child) == ["spiffe://mesh.test/web"] * 2
    assert scene.ask().startswith("spiffe://mesh.test/web")


def test_a_closed_mesh_follows_nothing(scene):
    """The last identity stays usable for calls that finish."""
    secured = scene.secured()
    scene.mesh.close()
    assert ask(scene.echo.endpoint, secured) == "spiffe://mesh.test/web"

"""The server's context: who is let in, and the newest credentials for every connection."""

from __future__ import annotations

import ssl

import pytest

from meshlib.errors import ConfigError
from meshlib.security.context import client_context
from meshlib.security.credentials import Credentials
from meshlib.security.identity import identity_of
from meshlib.security.server import ServerContext
from meshlib.security.verify import Accepted, PeerIdentityError
from tests.tls import Pki, handshake

PKI = Pki()
ORDERS = Credentials(PKI.identity("orders"))
WEB = client_context(Credentials(PKI.identity("web")), True, ())
NOBODY = client_context(Credentials(identity_of(PKI.ca, b"", b"")), True, ())
STRANGER = Pki().issue("web")
FOREIGN = client_context(Credentials(identity_of(PKI.ca, STRANGER.certificate, STRANGER.key)), True, ())


def test_strict():
    """A certificate of our authorities, or no connection."""
    server = ServerContext(lambda: ORDERS)
    assert handshake(WEB, server)[1].getpeercert(True)
    for client in (NOBODY, FOREIGN):
        with pytest.raises(ssl.SSLError):
            handshake(client, server)


def test_permissive():
    """None is let in, a wrong one is not."""
    server = ServerContext(lambda: ORDERS, "permissive")
    assert handshake(NOBODY, server)[1].getpeercert(True) is None
    assert handshake(WEB, server)[1].getpeercert(True)
    with pytest.raises(ssl.SSLError):
        handshake(FOREIGN, server)


def test_only_some_clients():
    """A list is held against whoever shows a certificate."""
    for clients in ("strict", "permissive"):
        server = ServerContext(lambda: ORDERS, clients, accepted=Accepted(["spiffe://mesh.test/web"]))
        handshake(WEB, server)
        closed = ServerContext(lambda: ORDERS, clients, accepted=Accepted(["spiffe://mesh.test/admin"]))
        with pytest.raises(
            PeerIdentityError, match=r"a client: the peer's certificate is for spiffe://mesh.test/web"
        ):
            handshake(WEB, closed)


def test_every_connection_gets_the_newest():
    """Without touching the context that a server holds, or connections that stand."""
    held = [ORDERS]
    server = ServerContext(lambda: held[0])
    first = handshake(WEB, server)[0].getpeercert(True)
    real = server.current
    assert server.current is real
    held[0] = Credentials(PKI.identity("orders"))
    second = handshake(WEB, server)[0].getpeercert(True)
    assert first != second
    assert server.current is not real


def test_what_cannot_be_made_leaves_the_old():
    """A `configure` that fails later on closes no door."""
    calls = []

    def configure(context):
        calls.append(context)
        if len(calls) > 1:
            raise ssl.SSLError("no such cipher")

    held = [ORDERS]
    server = ServerContext(lambda: held[0], configure=configure)
    real = server.current
    held[0] = Credentials(PKI.identity("orders"))
    assert server.current is server.current is real
    assert len(calls) == 2


def test_configure_sees_every_context():
    """It is where ciphers and versions are set."""
    server = ServerContext(
        lambda: ORDERS, configure=lambda context: setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_2)
    )
    assert handshake(WEB, server)[0].version() == "TLSv1.2"


def test_changing_it_is_an_error():
    """It would be without effect, and that must not pass unseen."""
    server = ServerContext(lambda: ORDERS)
    assert server.verify_mode is ssl.CERT_REQUIRED
    assert server.minimum_version is ssl.TLSVersion.TLSv1_2
    for name in ("load_cert_chain", "load_verify_locations", "set_alpn_protocols", "set_ciphers"):
        with pytest.raises(TypeError, match=f"{name}: .*give configure="):
            getattr(server, name)("x")
    with pytest.raises(TypeError, match="verify_mode"):
        server.verify_mode = ssl.CERT_NONE


def test_what_a_server_needs():
    """A certificate, and authorities of its clients."""
    orders = PKI.issue("orders")
    with pytest.raises(ConfigError, match="needs a certificate"):
        ServerContext(lambda: Credentials(identity_of(PKI.ca, b"", b"")))
    with pytest.raises(ConfigError, match="needs the authorities"):
        ServerContext(lambda: Credentials(identity_of(b"", orders.certificate, orders.key)))


def test_alpn():
    """As given; HTTP/1.1 otherwise."""
    both = client_context(Credentials(PKI.identity("web")), True, ("h2", "http/1.1"))
    assert handshake(both, ServerContext(lambda: ORDERS))[0].selected_alpn_protocol() == "http/1.1"
    assert handshake(both, ServerContext(lambda: ORDERS, alpn=("h2",)))[0].selected_alpn_protocol() == "h2"
    assert handshake(both, ServerContext(lambda: ORDERS, alpn=()))[0].selected_alpn_protocol() is None

"""Who called, from what a server hands over."""

from __future__ import annotations

import ssl

import pytest

from meshlib.security.context import client_context
from meshlib.security.credentials import Credentials
from meshlib.security.peer import spiffe_id_of
from meshlib.security.server import ServerContext
from tests.tls import Pki, handshake

PKI = Pki()
PEM = PKI.issue("web").certificate.decode()
WEB = "spiffe://mesh.test/web"


class Rpc:
    """A `grpc.ServicerContext`, as far as it is asked."""

    def __init__(self, **properties):
        self.properties = properties

    def auth_context(self):
        """As gRPC gives it."""
        return self.properties


def connection():
    """The server's end of a handshake with `web`."""
    orders, web = Credentials(PKI.identity("orders")), Credentials(PKI.identity("web"))
    return handshake(client_context(web, True, ()), ServerContext(lambda: orders))[1]


def test_where_it_is_found():
    """An SSL object, gunicorn's environ, the ASGI extension, gRPC's context."""
    ours = connection()
    assert spiffe_id_of(ours) == WEB
    assert spiffe_id_of({"gunicorn.socket": ours}) == WEB
    assert spiffe_id_of({"type": "http", "extensions": {"tls": {"client_cert_chain": [PEM]}}}) == WEB
    assert spiffe_id_of(Rpc(x509_subject_alternative_name=[WEB.encode(), b"web"])) == WEB


class Closed:
    """A connection that went away."""

    def getpeercert(self, binary_form):
        """As a closed socket answers."""
        raise OSError(9, "Bad file descriptor")


@pytest.mark.parametrize(
    "source",
    [
        {},
        None,
        object(),
        Closed(),
        {"gunicorn.socket": object()},
        {
            "gunicorn.socket": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
                ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="x"
            )
        },
        {"extensions": None},
        {"extensions": {"tls": {"client_cert_chain": []}}},
        {"extensions": {"tls": {"client_cert_chain": ["junk"]}}},
        {"HTTP_X_FORWARDED_CLIENT_CERT": f"URI={WEB}", "SSL_CLIENT_CERT": PEM},
        Rpc(),
        Rpc(x509_subject_alternative_name=[b"web"]),
        Rpc(x509_subject_alternative_name=[b"spiffe://a/b", b"spiffe://a/c"]),
    ],
)
def test_where_it_is_not(source):
    """Nothing is raised, nothing is made up, and headers are not believed."""
    assert spiffe_id_of(source) is None

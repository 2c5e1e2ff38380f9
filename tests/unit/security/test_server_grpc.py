"""gRPC's server credentials: asked for before each handshake, answered only when something is new."""

from __future__ import annotations

import grpc
import pytest

from meshlib.errors import ConfigError
from meshlib.security.credentials import Credentials
from meshlib.security.identity import identity_of
from meshlib.security.server_grpc import server_credentials
from tests.tls import Pki

PKI = Pki()


def test_the_newest_is_handed_over_once(monkeypatch):
    """None means: go on with what you have."""
    given = []
    monkeypatch.setattr(
        grpc, "ssl_server_certificate_configuration", lambda pairs, root_certificates: pairs[0][1]
    )
    monkeypatch.setattr(grpc, "dynamic_ssl_server_credentials", lambda *arguments: given.append(arguments))
    held = [Credentials(PKI.identity("orders"))]
    server_credentials(lambda: held[0])
    server_credentials(lambda: held[0], "permissive")
    [(first, newest, demand), (_, _, lenient)] = given
    assert (first, demand, lenient) == (held[0].chain, True, False)
    assert newest() is None
    held[0] = Credentials(PKI.identity("orders"))
    assert newest() == held[0].chain
    assert newest() is None


def test_what_it_needs():
    """A certificate and authorities."""
    for identity in (identity_of(PKI.ca, b"", b""), identity_of(b"", b"", b"")):
        with pytest.raises(ConfigError, match="needs cert, key and ca"):
            server_credentials(lambda identity=identity: Credentials(identity))

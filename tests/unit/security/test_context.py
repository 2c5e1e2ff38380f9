"""Contexts: what they demand, how they are shared, and that the key comes into them without a file."""

from __future__ import annotations

import os
import ssl

import pytest

from meshlib.errors import ConfigError
from meshlib.security import context as module
from meshlib.security.context import Contexts, client_context
from meshlib.security.credentials import Credentials
from meshlib.security.identity import identity_of
from meshlib.security.server import ServerContext
from tests.tls import Pki, handshake

PKI = Pki()
ORDERS = Credentials(PKI.identity("orders"))
WEB = Credentials(PKI.identity("web"))


def test_what_a_context_demands() -> None:
    """TLS 1.2 at least, a verified chain, the name only where names decide."""
    by_name, by_san = client_context(WEB, True, ("h2", "http/1.1")), client_context(WEB, False, ())
    for context in (by_name, by_san):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
    assert (by_name.check_hostname, by_san.check_hostname) == (True, False)


def test_contexts_are_shared() -> None:
    """One for each kind of use, and the same one every time."""
    held = Contexts(WEB)
    assert held.client(True, ("http/1.1",)) is held.client(True, ("http/1.1",))
    assert held.client(True, ("http/1.1",)) is not held.client(False, ("http/1.1",))
    assert held.client(True, ("h2",)) is not held.client(True, ("http/1.1",))


def test_a_mutual_handshake() -> None:
    """Each side proves who it is."""
    ours, theirs = handshake(client_context(WEB, True, ("http/1.1",)), ServerContext(lambda: ORDERS))
    assert ours.selected_alpn_protocol() == "http/1.1"
    assert theirs.getpeercert()["subjectAltName"] == (("URI", "spiffe://mesh.test/web"), ("DNS", "web"))  # type: ignore[index]


@pytest.mark.parametrize(
    ("server", "by_name", "name", "said"),
    [
        (Pki("other.test").identity("orders"), True, "orders", "unable to get local issuer|self.signed"),
        (PKI.identity("orders"), True, "billing", "Hostname mismatch"),
        (PKI.identity("orders"), True, "127.0.0.1", "IP address mismatch"),
        (PKI.identity("orders", ago=2, hours=1), False, "orders", "certificate has expired"),
    ],
)
def test_refused_peers(server, by_name, name, said):
    """Unknown authority, wrong name, wrong address, expired."""
    theirs = Credentials(server)
    with pytest.raises(ssl.SSLCertVerificationError, match=said):
        handshake(client_context(WEB, by_name, ()), ServerContext(lambda: theirs, clients="permissive"), name)


def test_addresses_are_verified() -> None:
    """An address is asked for without SNI, and must be in the certificate."""
    server = Credentials(PKI.identity("orders", "127.0.0.1"))
    handshake(client_context(WEB, True, ()), ServerContext(lambda: server), "127.0.0.1")


def test_without_anonymous_memory(monkeypatch, tmp_path):
    """Elsewhere than on Linux the key passes through a temporary file, encrypted, which is gone afterwards."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    seen = []
    real = ssl.SSLContext.load_cert_chain

    def spying(self, path, *, password):
        with open(path, "rb") as file:
            seen.append(file.read())
        real(self, path, password=password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spying)
    handshake(client_context(WEB, True, ()), ServerContext(lambda: ORDERS))
    assert all(b"ENCRYPTED PRIVATE KEY" in content and b"BEGIN PRIVATE" not in content for content in seen)
    assert len(seen) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux has it")
def test_anonymous_memory_may_be_forbidden(monkeypatch):
    """A sandbox that forbids it costs nothing but the detour."""

    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", forbidden)
    handshake(client_context(WEB, True, ()), ServerContext(lambda: ORDERS))


def test_default_authorities(monkeypatch, tmp_path):
    """Without a file: what the environment says, else what httpx trusts."""
    nobody = Credentials(identity_of(b"", b"", b""))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    assert client_context(nobody, True, ()).cert_store_stats()["x509_ca"] > 50
    (tmp_path / "ca.pem").write_bytes(PKI.ca)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert client_context(nobody, True, ()).cert_store_stats()["x509_ca"] == 1
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert client_context(nobody, True, ()).cert_store_stats()["x509_ca"] == 0


def test_what_openssl_refuses(monkeypatch):
    """Its reason, without the key."""

    def refuse(self, *_, **__):
        error = ssl.SSLError(1, "no")
        error.reason = "EE_KEY_TOO_SMALL"
        raise error

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)
    with pytest.raises(ConfigError, match="does not take the certificate or its key: ee key too small"):
        client_context(WEB, True, ())

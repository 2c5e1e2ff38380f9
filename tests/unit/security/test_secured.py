"""What policy and endpoint make of a connection."""

from __future__ import annotations

import ssl

import pytest

from meshlib.core.endpoint import Endpoint
from meshlib.core.override import Override
from meshlib.policy.tls import TlsOptions
from meshlib.security import secured as module
from meshlib.security.credentials import Credentials, Where
from meshlib.security.rotate import Rotation
from meshlib.security.secured import ServiceSecurity, advertises
from meshlib.security.server import ServerContext
from meshlib.security.verify import PeerIdentityError
from tests.tls import NOW, Pki, handshake

PKI = Pki()
PLAIN = Endpoint(host="10.0.0.1", port=8080)
SERVER = Credentials(PKI.identity("orders", "orders", "127.0.0.1"))


def security(**options):
    """A service's security over a rotation of its own."""
    rotation = Rotation(PKI.identity("web"), Where(cert="/web.pem"), lambda: NOW.timestamp() + 60)
    return ServiceSecurity("orders", TlsOptions(**options), rotation)


@pytest.mark.parametrize(
    ("mode", "scheme", "endpoint", "encrypted"),
    [
        ("strict", "http", PLAIN, True),
        ("strict", "https", PLAIN, True),
        ("auto", "http", PLAIN, False),
        ("auto", "https", PLAIN, True),
        ("auto", "wss", PLAIN, True),
        ("auto", "http", Endpoint(host="h", labels={"tls": "true"}), True),
        ("auto", "http", Endpoint(host="h", labels={"tls": "TRUE"}), True),
        ("auto", "http", Endpoint(host="h", labels={"tls": "false"}), False),
        ("auto", "http", Endpoint(host="h", labels={"security.istio.io/tlsMode": "istio"}), True),
        ("auto", "http", Endpoint(host="h", labels={"security.istio.io/tlsMode": "disabled"}), False),
        ("auto", "http", Endpoint(host="h", override=Override(tls_name="x")), True),
        ("auto", "http", Endpoint(host="h", override=Override(host="x")), False),
    ],
)
def test_when_it_is_encrypted(mode, scheme, endpoint, encrypted):
    """strict always; auto by the URL's scheme, and where the endpoint says that it speaks TLS."""
    assert (security(mode=mode).connection(endpoint, scheme, "orders") is not None) is encrypted
    assert advertises(endpoint) is (mode == "auto" and scheme == "http" and encrypted)


@pytest.mark.parametrize(
    ("options", "override", "host", "name"),
    [
        ({}, None, "orders", "orders"),
        ({}, None, "orders.example.", "orders.example"),
        ({"name": "o.example"}, None, "orders", "o.example"),
        ({"name": "o.example"}, Override(tls_name="x.example"), "orders", "x.example"),
        ({}, None, "10.0.0.1", "10.0.0.1"),
        ({}, None, ".", "10.0.0.1"),
    ],
)
def test_which_name_is_asked_for(options, override, host, name):
    """The endpoint's own, the policy's, the URL's, in this order; without the dot of an absolute name."""
    endpoint = Endpoint(host="10.0.0.1", port=1, override=override)
    found = security(mode="strict", **options).connection(endpoint, "http", host)
    assert found is not None
    assert found.server_hostname == name
    assert found.context.check_hostname


def test_by_name():
    """Without a list the name decides, in the handshake."""
    found = security(mode="strict").connection(PLAIN, "http", "orders")
    ours, _ = handshake(found.context, ServerContext(lambda: SERVER), found.server_hostname)
    found.check(ours)


def test_by_identity():
    """With a list the name does not matter, and the identity is compared after the handshake."""
    good = security(mode="strict", spiffe_ids=["spiffe://mesh.test/orders"]).connection(
        PLAIN, "http", "any.name"
    )
    ours, _ = handshake(good.context, ServerContext(lambda: SERVER), good.server_hostname)
    good.check(ours)
    bad = security(mode="strict", spiffe_ids=["spiffe://mesh.test/billing"]).connection(
        PLAIN, "http", "orders"
    )
    with pytest.raises(
        PeerIdentityError,
        match=r"is for spiffe://mesh.test/orders or .*; expected spiffe://mesh.test/billing",
    ):
        bad.check(ours)
    security(mode="strict", sans=["127.0.0.1"]).connection(PLAIN, "http", "orders").check(ours)


def test_an_unknown_authority_is_refused_whatever_it_says():
    """The chain is verified in both kinds: a stranger may write any identity."""
    stranger = Credentials(Pki().identity("orders"))
    found = security(mode="strict", spiffe_ids=["spiffe://mesh.test/orders"]).connection(
        PLAIN, "http", "orders"
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(found.context, ServerContext(lambda: stranger, clients="permissive"), "orders")


def test_versions_follow_rotation_and_policy():
    """Every rotation, and every change of the group, makes pooled connections old."""
    first = security(mode="strict")
    before = first.connection(PLAIN, "http", "orders")
    assert before.version == first.version
    assert first.connection(PLAIN, "http", "orders") is before
    first.rotation.offer(PKI.identity("web"))
    after = first.connection(PLAIN, "http", "orders")
    assert after.version == first.version > before.version
    assert after.context is not before.context
    changed = ServiceSecurity("orders", TlsOptions(mode="auto"), first.rotation)
    assert changed.version > after.version
    assert changed.connection(PLAIN, "https", "orders").version == changed.version


def test_what_is_known_of_endpoints_is_bounded(monkeypatch):
    """A churning service does not fill the memory, and an endpoint that changed is looked at again."""
    monkeypatch.setattr(module, "_KNOWN", 3)
    one = security(mode="auto")
    for port in range(10):
        one.connection(Endpoint(host="h", port=port), "http", "orders")
    assert len(one._known) <= 3
    assert one.connection(Endpoint(host="h", port=9), "http", "orders") is None
    assert one.connection(Endpoint(host="h", port=9, labels={"tls": "true"}), "http", "orders") is not None


def test_sessions_are_the_peers():
    """A session is found again for the same endpoint and name only, and not after a rotation."""
    one = security(mode="strict")

    class Connection:
        class session:
            has_ticket = True

    found = one.connection(PLAIN, "http", "orders")
    assert found.session is None
    found.remember(Connection)
    assert found.session is Connection.session
    assert one.connection(PLAIN, "http", "billing").session is None
    assert one.connection(Endpoint(host="10.0.0.2", port=8080), "http", "orders").session is None
    one.rotation.offer(PKI.identity("web"))
    assert one.connection(PLAIN, "http", "orders").session is None


@pytest.mark.parametrize("session", [None, type("S", (), {"has_ticket": False})])
def test_nothing_to_remember(session):
    """A connection that has not heard a ticket is not kept."""
    one = security(mode="strict")
    found = one.connection(PLAIN, "http", "orders")
    found.remember(type("C", (), {"session": session}))
    assert found.session is None


def test_warming_makes_the_context():
    """Before the first connection."""
    one = security(mode="strict")
    one.warm()
    context = one.rotation.held.client(True, ("http/1.1",))
    assert one.connection(PLAIN, "http", "orders").context is context

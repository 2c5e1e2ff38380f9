"""What a certificate says, and whether it is accepted."""

from __future__ import annotations

import pickle
import ssl

import pytest

from meshlib.errors import MeshError
from meshlib.security.verify import Accepted, PeerIdentityError, Presented, refused
from tests.tls import Pki

PKI = Pki()


def test_names_of_a_certificate() -> None:
    """DNS names, addresses and the one URI that is the SPIFFE ID."""
    pem = PKI.issue("orders", "Orders.Example.", "10.0.0.1", "::1").certificate.decode()
    presented = Presented.of(ssl.PEM_cert_to_DER_cert(pem))
    assert presented.spiffe_id == "spiffe://mesh.test/orders"
    assert presented.names == ("spiffe://mesh.test/orders", "orders.example", "10.0.0.1", "::1")


@pytest.mark.parametrize("der", [None, b"", b"junk", b"\x30\x03\x02\x01\x01"])
def test_no_certificate_names_nobody(der: bytes | None) -> None:
    """Whatever a peer sends as a certificate, reading it raises nothing."""
    assert Presented.of(der).names == ()


def test_a_second_uri_is_no_spiffe_id() -> None:
    """A certificate of two identities has none (X509-SVID)."""
    two = Presented(uris=["spiffe://d/orders", "spiffe://d/admin"])
    assert two.spiffe_id is None
    assert not Accepted(["spiffe://d/orders", "spiffe://d/admin"]).admits(two)
    assert "more than one URI" in str(refused("orders", ("spiffe://d/orders",), two))


@pytest.mark.parametrize(
    ("accepted", "presented", "admitted"),
    [
        (Accepted(["spiffe://d/a"]), Presented(uris=["spiffe://d/a"]), True),
        (Accepted(["spiffe://d/a"]), Presented(uris=["spiffe://d/a/b"]), False),
        (Accepted(["spiffe://d/a"]), Presented(uris=["spiffe://e/a"]), False),
        (Accepted(["spiffe://d/a"]), Presented(dns=["spiffe://d/a"]), False),
        (Accepted(["spiffe://d/a/*"]), Presented(uris=["spiffe://d/a/b/c"]), True),
        (Accepted(["spiffe://d/a/*"]), Presented(uris=["spiffe://d/ab"]), False),
        (Accepted(["spiffe://d/a/*"]), Presented(uris=["spiffe://d/a"]), False),
        (Accepted(["spiffe://d/*"]), Presented(uris=["spiffe://d.evil/a"]), False),
        (Accepted(sans=["Orders.Example"]), Presented(dns=["orders.example."]), True),
        (Accepted(sans=["a.example"]), Presented(dns=["*.example"]), False),
        (Accepted(sans=["a.b.example"]), Presented(dns=["*.b.example"]), True),
        (Accepted(sans=["a.b.c.example"]), Presented(dns=["*.c.example"]), False),
        (Accepted(sans=["*.b.example"]), Presented(dns=["a.b.example"]), False),
        (Accepted(sans=["::0001"]), Presented(addresses=["::1"]), True),
        (Accepted(sans=["10.0.0.1"]), Presented(dns=["10.0.0.1"]), False),
        (Accepted(sans=["urn://x"]), Presented(uris=["urn://x", "urn://y"]), True),
        (Accepted(), Presented(dns=["a"]), False),
    ],
)
def test_who_is_admitted(accepted: Accepted, presented: Presented, admitted: bool) -> None:
    """Each kind of name is compared with its own kind, exactly, but for the two documented wildcards."""
    assert accepted.admits(presented) is admitted


def test_accepted_is_a_value() -> None:
    """Equal lists are equal; an empty one accepts by name and is false."""
    assert Accepted(["spiffe://d/a"]) == Accepted(["spiffe://d/a"])
    assert hash(Accepted(sans=["a"])) == hash(Accepted(sans=["a"]))
    assert Accepted(sans=["a"]) != Accepted(sans=["b"])
    assert not Accepted()


def test_the_error_names_both_sides() -> None:
    """Expected and presented, as text and as attributes; nothing was sent, so it may be repeated."""
    error = refused("orders", ("spiffe://d/orders",), Presented(["billing"], uris=["spiffe://d/billing"]))
    assert str(error) == (
        "orders: the peer's certificate is for spiffe://d/billing or billing; expected spiffe://d/orders"
    )
    assert (error.expected, error.presented) == (("spiffe://d/orders",), ("spiffe://d/billing", "billing"))
    assert (error.retry_safe, error.delivered, error.target) == (True, "no", "orders")
    assert isinstance(error, MeshError)
    assert isinstance(error, ssl.SSLError)
    assert isinstance(error, OSError)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.expected, again.retry_safe) == (str(error), error.expected, True)


def test_the_error_is_bounded() -> None:
    """Names come from a stranger: few, short, on one line."""
    error = refused("orders", ("a",), Presented([f"x{n}\n{'y' * 500}" for n in range(50)]))
    assert isinstance(error, PeerIdentityError)
    assert len(str(error)) < 2000
    assert "\n" not in str(error)
    assert "and 42 more" in str(error)
    assert "names nobody" in str(refused("orders", ("a",), Presented()))

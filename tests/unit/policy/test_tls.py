"""The tls group: its short form, what types cannot say, and what only shows when layers meet."""

from __future__ import annotations

import pytest

from meshlib.errors import ConfigError
from meshlib.policy import Policy, merge
from meshlib.policy.tls import TlsOptions


def test_the_mode_alone() -> None:
    """A text is the mode; the files of the defaults stay."""
    document = Policy(
        tls={"ca": "/ca"}, services={"orders": {"tls": "strict"}, "web": {"tls": False}}
    ).document
    assert merge(document, "orders")[0].tls == TlsOptions(mode="strict", ca="/ca")
    assert merge(document, "web")[0].tls is None
    assert merge(document, "other")[0].tls == TlsOptions(ca="/ca")
    with pytest.raises(ConfigError, match=r"""tls.mode: expected "off" or "auto" or "strict", got 'on'"""):
        Policy(tls="on")


@pytest.mark.parametrize(
    "identity", ["orders", "spiffe://", "spiffe://A/b", "spiffe://a/b?c", "spiffe://a//b", "https://a/b"]
)
def test_spiffe_ids_are_spiffe_ids(identity: str) -> None:
    """What is none would never match, and is refused instead."""
    with pytest.raises(
        ConfigError, match=r"tls.spiffe_ids: expected identities such as spiffe://domain/path"
    ):
        TlsOptions(spiffe_ids=[identity])


@pytest.mark.parametrize("name", ["", "spiffe://a/b", "a b"])
def test_sans_are_names(name: str) -> None:
    """A SPIFFE ID among them would be compared as another kind of name than it is."""
    with pytest.raises(ConfigError, match=r"tls.sans: expected DNS names, addresses and URIs"):
        TlsOptions(sans=[name])


def test_good_names() -> None:
    """Everything that is documented to be accepted."""
    options = TlsOptions(
        spiffe_ids=["spiffe://a.b/ns/*", "spiffe://a/b"], sans=["orders.example", "10.0.0.1", "urn://x"]
    )
    assert (len(options.spiffe_ids), len(options.sans)) == (2, 3)


def test_a_key_needs_its_certificate() -> None:
    """Each layer may bring one of the two; together both must be there."""
    document = Policy(tls={"cert": "/c"}, services={"orders": {"tls": {"key": "/k"}}}).document
    assert merge(document, "orders")[0].tls == TlsOptions(cert="/c", key="/k")
    with pytest.raises(ConfigError, match=r"tls.key: is a private key without a certificate"):
        Policy(tls={"key": "/k"})


def test_files_have_names() -> None:
    """An empty text is nobody's file."""
    with pytest.raises(ConfigError, match=r"tls.ca: expected the path of a PEM file, got an empty text"):
        TlsOptions(ca="")
